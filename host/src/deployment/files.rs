//! Which files have changed, and have been left alone since: what is half written is read later.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::change::{COARSEST_CLOCK, QUIET, Stamp, unix_time};

/// The files of interest, as they were when they were looked at last.
#[derive(Debug, Default)]
pub(super) struct Files {
    seen: BTreeMap<PathBuf, Seen>,
    looked: Option<SystemTime>,
}

#[derive(Debug)]
struct Seen {
    /// Of the file, and of the one that belongs to it. None: there is none.
    stamps: [Option<Stamp>; 2],
    /// Since when it has been like this.
    since: Instant,
    /// When it changed.
    changed: SystemTime,
    is_told: bool,
    /// When it is told again, as it may have changed without another stamp.
    again: Option<Instant>,
}

impl Files {
    /// Looks at these files. One that it knows and that is not among them is gone.
    pub(super) fn look(&mut self, paths: BTreeSet<PathBuf>, now: Instant) {
        let before = self.looked.replace(SystemTime::now());
        for (path, seen) in &mut self.seen {
            if !paths.contains(path) {
                seen.become_now([None, None], now, before);
            }
        }
        for path in paths {
            let stamps = stamps(&path);
            match self.seen.get_mut(&path) {
                Some(seen) => seen.become_now(stamps, now, before),
                None => {
                    self.seen.insert(path, Seen::new(stamps, now, before));
                }
            }
        }
    }

    /// Those that have changed, appeared or gone and have been left alone for a moment. Each change is told once.
    pub(super) fn rested(&mut self, now: Instant) -> Vec<PathBuf> {
        let mut rested = Vec::new();
        for (path, seen) in &mut self.seen {
            if seen.due().is_some_and(|due| due <= now) {
                let is_young =
                    seen.stamps.iter().flatten().any(|stamp| !seen.is_told && stamp.is_young(unix_time()));
                seen.again = is_young.then(|| now + CLOCK_TICK);
                seen.is_told = true;
                rested.push(path.clone());
            }
        }
        self.seen.retain(|_, seen| !seen.is_told || seen.stamps[0].is_some());
        rested
    }

    /// All of them, as if they had been left alone.
    pub(super) fn all(&mut self) -> Vec<PathBuf> {
        for seen in self.seen.values_mut() {
            seen.is_told = true;
            seen.again = None;
        }
        let all = self.seen.keys().cloned().collect();
        self.seen.retain(|_, seen| seen.stamps[0].is_some());
        all
    }

    /// When there will be something at rest, if nothing changes until then.
    pub(super) fn next(&self) -> Option<Instant> {
        self.seen.values().filter_map(Seen::due).min()
    }

    /// Its length, and when it changed.
    pub(super) fn facts(&self, path: &Path) -> Option<(u64, SystemTime)> {
        let seen = self.seen.get(path)?;
        Some((seen.stamps[0].as_ref()?.length, seen.changed))
    }

    /// The files by name.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.seen.keys().map(PathBuf::as_path)
    }
}

impl Seen {
    fn new(stamps: [Option<Stamp>; 2], now: Instant, before: Option<SystemTime>) -> Self {
        Self { changed: changed(&stamps, before), stamps, since: now, is_told: false, again: None }
    }

    fn become_now(&mut self, stamps: [Option<Stamp>; 2], now: Instant, before: Option<SystemTime>) {
        if self.stamps != stamps {
            *self = Self::new(stamps, now, before);
        }
    }

    fn due(&self) -> Option<Instant> {
        if self.is_told { self.again } else { Some(self.since + QUIET) }
    }
}

/// When a file that was another one at the look before became this one: as its stamps have it, but a link that was turned
/// to an old file has changed only now.
fn changed(stamps: &[Option<Stamp>; 2], before: Option<SystemTime>) -> SystemTime {
    let latest = stamps.iter().flatten().map(Stamp::changed_at).max();
    latest
        .filter(|latest| before.is_none_or(|before| before <= *latest + CLOCK_TICK))
        .unwrap_or_else(SystemTime::now)
}

fn stamps(path: &Path) -> [Option<Stamp>; 2] {
    let stamp = |path: &Path| Some(Stamp::of(&fs::metadata(path).ok().filter(fs::Metadata::is_file)?));
    let beside = if path.extension().is_some_and(|of| of == "js") {
        stamp(&path.with_extension("toml"))
    } else {
        None
    };
    [stamp(path), beside]
}

/// After it, a change has another stamp also where the clock of the file system is coarse.
const CLOCK_TICK: Duration = Duration::from_secs(COARSEST_CLOCK.unsigned_abs() + 1);

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        folder: tempfile::TempDir,
        files: Files,
        now: Instant,
    }

    impl Scene {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap(), files: Files::default(), now: Instant::now() }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("a.js")
        }

        fn write(&self, text: &str) {
            fs::write(self.path(), text).unwrap();
        }

        /// So many milliseconds later: how many files have come to rest.
        fn look(&mut self, millis: u64) -> usize {
            self.now += Duration::from_millis(millis);
            self.files.look(BTreeSet::from([self.path()]), self.now);
            self.files.rested(self.now).len()
        }
    }

    #[test]
    fn a_file_is_told_once_it_has_been_left_alone() {
        let mut scene = Scene::new();
        scene.write("a");
        assert_eq!((scene.look(0), scene.look(199), scene.look(1)), (0, 0, 1));
        assert_eq!(scene.look(1_000), 0);
        scene.write("ab");
        assert_eq!(scene.look(0), 0);
        scene.write("abc");
        assert_eq!((scene.look(150), scene.look(199), scene.look(1)), (0, 0, 1), "it changed in between");
    }

    #[test]
    fn fifty_writes_in_a_second_are_one_change() {
        let mut scene = Scene::new();
        let told: usize = (1..=50)
            .map(|length| {
                scene.write(&"x".repeat(length));
                scene.look(20)
            })
            .sum();
        assert_eq!((told, scene.look(200)), (0, 1));
    }

    #[test]
    fn a_file_that_goes_and_comes_back_at_once_has_not_gone() {
        let mut scene = Scene::new();
        scene.write("a");
        assert_eq!((scene.look(0), scene.look(200)), (0, 1));
        fs::remove_file(scene.path()).unwrap();
        assert_eq!(scene.look(0), 0);
        scene.write("b");
        assert_eq!((scene.look(100), scene.look(200)), (0, 1));
        assert!(scene.files.facts(&scene.path()).is_some());
        fs::remove_file(scene.path()).unwrap();
        assert_eq!((scene.look(0), scene.look(200)), (0, 1), "its going is told");
        assert!(scene.files.facts(&scene.path()).is_none());
        assert_eq!(scene.look(200), 0);
    }

    #[test]
    fn the_manifest_beside_a_script_belongs_to_it() {
        let mut scene = Scene::new();
        scene.write("a");
        assert_eq!((scene.look(0), scene.look(200)), (0, 1));
        fs::write(scene.path().with_extension("toml"), "version = \"1.0.0\"").unwrap();
        assert_eq!((scene.look(0), scene.look(200)), (0, 1));
    }

    #[test]
    fn what_may_have_changed_within_a_tick_of_the_clock_is_told_again() {
        let mut scene = Scene::new();
        scene.write("a");
        assert_eq!((scene.look(0), scene.look(200)), (0, 1));
        assert_eq!((scene.look(2_999), scene.look(1), scene.look(10_000)), (0, 1, 0));
    }

    #[test]
    fn a_link_that_is_turned_to_an_old_file_has_changed_now() {
        let mut scene = Scene::new();
        let old = scene.folder.path().join("old");
        fs::write(&old, "a").unwrap();
        let before = SystemTime::now() + Duration::from_secs(60);
        assert!(changed(&stamps(&old), Some(before)) > Stamp::of(&fs::metadata(&old).unwrap()).changed_at());
        std::os::unix::fs::symlink(&old, scene.path()).unwrap();
        assert_eq!((scene.look(0), scene.look(200)), (0, 1));
        fs::write(scene.folder.path().join("new"), "b").unwrap();
        std::os::unix::fs::symlink(scene.folder.path().join("new"), scene.folder.path().join("link"))
            .unwrap();
        fs::rename(scene.folder.path().join("link"), scene.path()).unwrap();
        assert_eq!((scene.look(0), scene.look(200)), (0, 1));
    }
}
