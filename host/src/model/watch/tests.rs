use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use tidegate_proto::lwm2m::value::Kind;
use tokio::sync::mpsc;

use super::*;
use crate::model::sample::definition;

/// A watched folder, and what a shard hears of it.
struct Scene {
    folder: PathBuf,
    current: Arc<ArcSwap<Models>>,
    shard: mpsc::Receiver<Command>,
    watch: Watch,
    stop: watch::Sender<bool>,
    _around: TempDir,
}

impl Scene {
    /// The folder does not exist yet if there are no files.
    fn begin(files: &[(&str, &str)], every: Duration) -> Self {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("models");
        if !files.is_empty() {
            fs::create_dir(&folder).unwrap();
        }
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        let mut reader = Folder::new(&folder);
        let current = Arc::new(ArcSwap::from_pointee(reader.read().models));
        let (handle, shard) = ShardHandle::new();
        let (stop, stopped) = watch::channel(false);
        let readers = Readers { current: Arc::clone(&current), shards: vec![handle] };
        let watch = Watch::start(reader, readers, every, stopped);
        Self { folder, current, shard, watch, stop, _around: around }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }

    /// Wait for definitions in which resource 1 of these objects has these types. There may be others before: a change of
    /// several files may be seen in parts.
    async fn told(&mut self, expected: &[(u16, Option<Kind>)]) {
        let all = async {
            loop {
                let Some(Command::Define(models)) = self.shard.recv().await else { panic!("no definitions") };
                if expected.iter().all(|(object, kind)| models.kind(*object, None, 1) == *kind) {
                    return models;
                }
            }
        };
        let models =
            tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("never: {expected:?}"));
        assert!(Arc::ptr_eq(&self.current.load(), &models), "the bridge has the same");
    }
}

#[tokio::test]
async fn what_is_written_changed_and_removed_is_told() {
    let mut scene = Scene::begin(&[("a.xml", &definition(40_000, "1.0", "String"))], NEVER);
    assert_eq!(scene.current.load().kind(40_000, None, 1), Some(Kind::Text));
    scene.write("a.xml", &definition(40_000, "1.0", "Integer"));
    scene.told(&[(40_000, Some(Kind::Integer))]).await;

    // As editors do it.
    scene.write("a.xml.new", &definition(40_000, "1.0", "Float"));
    fs::rename(scene.folder.join("a.xml.new"), scene.folder.join("a.xml")).unwrap();
    scene.told(&[(40_000, Some(Kind::Float))]).await;

    fs::create_dir(scene.folder.join("more")).unwrap();
    scene.write("more/b.xml", &definition(3, "1.2", "Time"));
    scene.told(&[(40_000, Some(Kind::Float)), (3, Some(Kind::Time))]).await;
    scene.write("more/b.xml", &definition(3, "1.2", "Opaque"));
    scene.told(&[(3, Some(Kind::Opaque))]).await;

    fs::remove_file(scene.folder.join("a.xml")).unwrap();
    fs::remove_dir_all(scene.folder.join("more")).unwrap();
    scene.told(&[(40_000, None), (3, Some(Kind::Text))]).await;
}

#[tokio::test]
async fn a_file_that_breaks_changes_nothing_until_it_is_repaired() {
    let mut scene = Scene::begin(&[("a.xml", &definition(40_000, "1.0", "String"))], NEVER);
    scene.write("a.xml", "<LWM2M><Object>");
    // Its neighbour shows that the broken file has been looked at.
    scene.write("b.xml", &definition(40_001, "1.0", "Float"));
    scene.told(&[(40_000, Some(Kind::Text)), (40_001, Some(Kind::Float))]).await;
    scene.write("a.xml", &definition(40_000, "1.0", "Integer"));
    scene.told(&[(40_000, Some(Kind::Integer)), (40_001, Some(Kind::Float))]).await;
}

/// Nobody watches a folder that is not there: it is found by looking.
#[tokio::test]
async fn a_folder_that_comes_later_or_is_replaced_is_found_without_events() {
    let mut scene = Scene::begin(&[], OFTEN);
    let other = scene.folder.with_file_name("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("a.xml"), definition(40_000, "1.0", "String")).unwrap();
    fs::rename(&other, &scene.folder).unwrap();
    scene.told(&[(40_000, Some(Kind::Text))]).await;

    fs::create_dir(&other).unwrap();
    fs::write(other.join("a.xml"), definition(40_000, "1.0", "Time")).unwrap();
    fs::rename(&scene.folder, scene.folder.with_file_name("old")).unwrap();
    fs::rename(&other, &scene.folder).unwrap();
    scene.told(&[(40_000, Some(Kind::Time))]).await;
    scene.write("a.xml", &definition(40_000, "1.0", "Float"));
    scene.told(&[(40_000, Some(Kind::Float))]).await;
}

#[tokio::test]
async fn reading_again_on_request_tells_nothing_that_is_not_new() {
    let mut scene = Scene::begin(&[("a.xml", &definition(40_000, "1.0", "String"))], NEVER);
    scene.watch.read_again();
    scene.write("a.xml", &definition(40_000, "1.0", "Integer"));
    scene.watch.read_again();
    let told = tokio::time::timeout(PATIENCE, scene.shard.recv()).await;
    let Ok(Some(Command::Define(models))) = told else { panic!("{told:?}") };
    assert_eq!(models.kind(40_000, None, 1), Some(Kind::Integer), "nothing was told before");
    // The watch goes; with it goes the last handle of the shard.
    scene.stop.send_replace(true);
    let rest = async { while scene.shard.recv().await.is_some() {} };
    tokio::time::timeout(PATIENCE, rest).await.expect("the watch ends");
}

const PATIENCE: Duration = Duration::from_secs(20);
/// Events must do.
const NEVER: Duration = Duration::from_secs(3600);
const OFTEN: Duration = Duration::from_millis(20);
