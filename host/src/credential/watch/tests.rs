use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Mutex;

use tempfile::TempDir;
use tidegate_dtls::credential::Mode;
use tokio::sync::mpsc;

use super::super::read;
use super::*;

/// A watched file, and what is heard of it.
struct Scene {
    folder: TempDir,
    told: mpsc::UnboundedReceiver<Arc<Credentials>>,
    watch: CredentialWatch,
    stop: watch::Sender<bool>,
}

impl Scene {
    fn begin(files: &[(&str, &str)], every: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self::watch(folder, every)
    }

    fn watch(folder: TempDir, every: Duration) -> Self {
        let file = folder.path().join("credentials.toml");
        let (tell, told) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let on_change = move |credentials| tell.send(credentials).unwrap();
        let watch = CredentialWatch::start(&file, &read(&file).unwrap(), on_change, every, stopped);
        Self { folder, told, watch, stop }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Wait for credentials that name these endpoints and no others. There may be others before: a change of several files
    /// may be seen in parts.
    async fn told(&mut self, endpoints: &[&str]) -> Arc<Credentials> {
        let all = async {
            loop {
                let credentials = self.told.recv().await.expect("the watch goes on");
                let named = |endpoint: &&&str| credentials.mode(endpoint) == Some(Mode::Psk);
                let count = endpoints.iter().filter(named).count();
                if count == endpoints.len() && credentials.counts().0 == count {
                    return credentials;
                }
            }
        };
        tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("never: {endpoints:?}"))
    }
}

fn psk(endpoint: &str) -> String {
    format!("[[psk]]\nidentity = \"{endpoint}\"\nkey = \"00ff\"\n")
}

#[tokio::test]
async fn a_file_that_is_rewritten_or_replaced_is_told() {
    let mut scene = Scene::begin(&[("credentials.toml", &psk("a"))], NEVER);
    scene.write("credentials.toml", &(psk("a") + &psk("b")));
    scene.told(&["a", "b"]).await;

    scene.write("new", &(psk("c") + &psk("d")));
    fs::rename(scene.folder.path().join("new"), scene.folder.path().join("credentials.toml")).unwrap();
    scene.told(&["c", "d"]).await;
}

#[tokio::test]
async fn a_change_of_a_key_that_it_names_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("keys")).unwrap();
    fs::write(folder.path().join("keys/a.key"), "00").unwrap();
    let text = "[[psk]]\nidentity = \"a\"\nkey-file = \"keys/a.key\"\n";
    fs::write(folder.path().join("credentials.toml"), text).unwrap();
    let mut scene = Scene::watch(folder, NEVER);
    scene.write("keys/a.key", "0011");
    scene.told(&["a"]).await;
}

/// So do mounted secrets of Kubernetes change: the link to the folder is replaced, the file is a link through it.
#[tokio::test]
async fn a_file_behind_links_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (version, text) in [("1", psk("a")), ("2", psk("b"))] {
        fs::create_dir(folder.path().join(version)).unwrap();
        fs::write(folder.path().join(version).join("credentials.toml"), text).unwrap();
    }
    symlink("1", folder.path().join("data")).unwrap();
    symlink("data/credentials.toml", folder.path().join("credentials.toml")).unwrap();
    let mut scene = Scene::watch(folder, NEVER);
    symlink("2", scene.folder.path().join("next")).unwrap();
    fs::rename(scene.folder.path().join("next"), scene.folder.path().join("data")).unwrap();
    scene.told(&["b"]).await;
    // Where it leads to is watched, too.
    scene.write("2/credentials.toml", &(psk("b") + &psk("c")));
    scene.told(&["b", "c"]).await;
}

#[tokio::test]
async fn a_wrong_file_changes_nothing_until_it_is_right() {
    let mut scene = Scene::begin(&[("credentials.toml", &psk("a"))], OFTEN);
    scene.write("credentials.toml", "[[psk]]\nidentity = \"a\"\nkey = \"0\"\n");
    scene.watch.read_again();
    scene.write("credentials.toml", &(psk("a") + &psk("b")));
    let first = tokio::time::timeout(PATIENCE, scene.told.recv()).await.unwrap().unwrap();
    assert_eq!(first.counts().0, 2, "nothing was told before");
}

/// However slowly a file is written, what is there of it up to now takes nothing away.
#[test]
fn a_half_written_file_takes_nothing_away() {
    let (folder, mut reader, told) = reader(&(psk("a") + &psk("b")));
    let file = folder.path().join("credentials.toml");
    let mut now = Instant::now();
    let whole = psk("c") + &psk("b") + &psk("a");
    for length in 0..=whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        reader.read(Occasion::Change, now);
        now += REST / 2;
    }
    // Once without and once with the last line break.
    assert_eq!(*told.lock().unwrap(), [3, 3]);
    assert!(reader.doubted.is_none() && reader.refusal.is_none());
}

#[test]
fn a_credential_is_gone_when_the_file_without_it_has_rested() {
    let (folder, mut reader, told) = reader(&(psk("a") + &psk("b") + &psk("c")));
    let file = folder.path().join("credentials.toml");
    let start = Instant::now();
    fs::write(&file, psk("c") + &psk("b")).unwrap();
    reader.read(Occasion::Change, start);
    fs::write(&file, psk("c")).unwrap();
    reader.read(Occasion::Rest, start + REST);
    assert!(told.lock().unwrap().is_empty(), "it is another one since");
    // Something beside it goes on changing.
    reader.read(Occasion::Change, start + REST + REST / 2);
    assert!(told.lock().unwrap().is_empty());
    reader.read(Occasion::Change, start + REST * 2);
    assert_eq!(*told.lock().unwrap(), [1]);
}

/// One line in the log for each thing that happens, and no key in any.
#[test]
fn the_log_tells_what_happens_without_a_key() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let secret = "5ec7e7a1b2c3d4e5f60718293a4b5c6d";
        let right = format!("[[psk]]\nidentity = \"a\"\nkey = \"{secret}\"\n");
        let (folder, mut reader, told) = reader(&right);
        let file = folder.path().join("credentials.toml");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, format!("{right}kee = \"{secret}\"\n")).unwrap();
        reader.read(Occasion::Change, Instant::now());
        reader.read(Occasion::Change, Instant::now());
        let text = log.text();
        assert_eq!(text.matches("ERROR").count(), 1, "{text}");
        assert!(
            text.contains("credentials refused") && text.contains("credentials.toml:4: psk.kee: no such key"),
            "{text}"
        );
        reader.read(Occasion::Request, Instant::now());
        assert_eq!(log.text().matches("ERROR").count(), 2, "whoever asks is told again");
        fs::write(&file, right + &psk("b")).unwrap();
        reader.read(Occasion::Change, Instant::now());
        assert!(
            log.text().contains("credentials read psk=2 raw-public-key=0 authorities=0"),
            "{}",
            log.text()
        );
        assert_eq!(*told.lock().unwrap(), [2]);
        assert!(!log.text().contains(&secret[..6]), "{}", log.text());
    });
}

type Told = Arc<Mutex<Vec<usize>>>;

/// A reader of a file with this text, and how many pre-shared keys it has told of.
fn reader(text: &str) -> (TempDir, Reader, Told) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials.toml");
    fs::write(&file, text).unwrap();
    let told = Told::default();
    let tell = Arc::clone(&told);
    let on_change = move |credentials: Arc<Credentials>| tell.lock().unwrap().push(credentials.counts().0);
    let reader = Reader::new(&file, &read(&file).unwrap(), Box::new(on_change));
    (folder, reader, told)
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_credential_that_is_gone_is_told_when_the_file_rests() {
    let mut scene = Scene::begin(&[("credentials.toml", &(psk("a") + &psk("b")))], NEVER);
    scene.write("credentials.toml", &psk("b"));
    scene.told(&["b"]).await;
    scene.write("credentials.toml", "");
    // Its operator knows what it says.
    scene.watch.read_again();
    scene.told(&[]).await;
}

#[tokio::test]
async fn a_file_that_vanishes_changes_nothing_and_is_found_again() {
    let mut scene = Scene::begin(&[("credentials.toml", &psk("a"))], OFTEN);
    fs::remove_file(scene.folder.path().join("credentials.toml")).unwrap();
    scene.watch.read_again();
    scene.write("credentials.toml", &(psk("a") + &psk("b")));
    let first = tokio::time::timeout(PATIENCE, scene.told.recv()).await.unwrap().unwrap();
    assert_eq!(first.counts().0, 2);
}

#[tokio::test]
async fn the_same_again_is_not_told_and_the_watch_ends() {
    let mut scene = Scene::begin(&[("credentials.toml", &psk("a"))], OFTEN);
    scene.write("credentials.toml", &psk("a"));
    fs::set_permissions(scene.folder.path().join("credentials.toml"), fs::Permissions::from_mode(0o600))
        .unwrap();
    scene.watch.read_again();
    scene.write("credentials.toml", &(psk("a") + &psk("b")));
    scene.watch.read_again();
    let first = tokio::time::timeout(PATIENCE, scene.told.recv()).await.unwrap().unwrap();
    assert_eq!(first.counts().0, 2, "nothing was told before");
    scene.stop.send_replace(true);
    let rest = async { while scene.told.recv().await.is_some() {} };
    tokio::time::timeout(PATIENCE, rest).await.expect("the watch ends");
}

/// Only the file system tells.
const NEVER: Duration = Duration::from_secs(3600);
const OFTEN: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(20);
