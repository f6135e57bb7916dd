use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::plugin::{Artifact, Caller, Fault, State, Step};

/// What answers to a message with its topic; as a translator, the least that is one.
fn script(answer: &str) -> String {
    format!(
        "function uplink(event) {{ return []; }}\n\
         function downlink(message) {{ return [{{ topic: {answer:?}, payload: message.payload }}]; }}\n"
    )
}

/// A folder with a configuration and a plugin folder, and what follows it.
struct Scene {
    folder: TempDir,
    deployment: Deployment,
    now: Instant,
}

/// One for all tests: compiling the engine for scripts takes seconds.
fn engine() -> Arc<Engine> {
    static ENGINE: std::sync::OnceLock<Arc<Engine>> = std::sync::OnceLock::new();
    let start = || Arc::new(Engine::new(&crate::plugin::Limits::default()).unwrap());
    Arc::clone(ENGINE.get_or_init(start))
}

fn open(folder: &TempDir, now: Instant) -> Result<Deployment, ConfigError> {
    let config = Config::load(&folder.path().join("tidegate.toml"))?;
    Deployment::open(engine(), config, Arc::new(Notify::new()), now)
}

impl Scene {
    fn new(config: &str, files: &[(&str, &str)]) -> Self {
        Self::try_new(config, files).unwrap()
    }

    fn try_new(config: &str, files: &[(&str, &str)]) -> Result<Self, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("plugins")).unwrap();
        std::fs::write(folder.path().join("tidegate.toml"), config).unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join("plugins").join(name), text).unwrap();
        }
        let now = Instant::now();
        let deployment = open(&folder, now)?;
        Ok(Self { folder, deployment, now })
    }

    fn plugin(&self, name: &str) -> PathBuf {
        self.folder.path().join("plugins").join(name)
    }

    fn write(&mut self, name: &str, text: &str) -> News {
        std::fs::write(self.plugin(name), text).unwrap();
        self.rest()
    }

    fn configure(&mut self, text: &str) -> News {
        std::fs::write(self.folder.path().join("tidegate.toml"), text).unwrap();
        self.rest()
    }

    fn look(&mut self, millis: u64) -> News {
        self.now += Duration::from_millis(millis);
        self.deployment.step(Occasion::Look, self.now)
    }

    /// Long enough for what has changed to be at rest, and for young files to be read again.
    fn rest(&mut self) -> News {
        self.look(0);
        self.look(200)
    }

    fn request(&mut self) -> News {
        self.deployment.step(Occasion::Request, self.now)
    }

    fn names(&self) -> Vec<String> {
        self.deployment.slots().map(|slot| slot.name().to_owned()).collect()
    }

    fn slot(&self, name: &str) -> Arc<Slot> {
        self.deployment.slots().find(|slot| slot.name() == name).expect("there is such a slot").clone()
    }

    /// The topic of the answer of a script.
    fn answer(&self, name: &str) -> Result<String, Fault> {
        let properties = types::PropertiesParam {
            response_topic: None,
            correlation: None,
            expiry: None,
            content_type: None,
            user: &[],
        };
        let message = types::MessageParam {
            topic: "x",
            payload: b"",
            qos: types::Qos::AtMostOnce,
            retain: false,
            properties,
        };
        let actions = Caller::new(self.slot(name)).downlink(&message)?;
        match actions.first() {
            Some(types::Action::Publish(message)) => Ok(message.topic.clone()),
            other => panic!("{other:?}"),
        }
    }

    fn rejection(&self, name: &str) -> Option<(Step, String)> {
        let (_, rejected) = self.deployment.rejected().find(|(of, _)| *of == name)?;
        Some((rejected.rejection.step, rejected.rejection.reason.clone()))
    }
}

const MINE: &str = "[[translator]]\nname = \"mine\"\n";

#[test]
fn a_changed_file_is_live_once_it_is_left_alone() {
    let mut scene = Scene::new(MINE, &[("mine.js", &script("one"))]);
    assert_eq!(scene.answer("mine").unwrap(), "one");
    std::fs::write(scene.plugin("mine.js"), script("two")).unwrap();
    assert!(!scene.look(0).is_offered);
    assert_eq!(scene.answer("mine").unwrap(), "one");
    assert!(scene.look(200).is_offered);
    assert_eq!(scene.answer("mine").unwrap(), "two");
}

#[test]
fn the_same_bytes_again_are_nothing_new() {
    let mut scene = Scene::new(MINE, &[("mine.js", &script("one"))]);
    let number = scene.slot("mine").active().number();
    let news = scene.write("mine.js", &script("one"));
    assert!(!news.is_offered && !news.is_rerouted && news.names.is_empty(), "{news:?}");
    assert_eq!(scene.slot("mine").active().number(), number);
}

#[test]
fn a_broken_file_touches_nothing_and_is_tried_once() {
    let mut scene = Scene::new(MINE, &[("mine.js", &script("one"))]);
    let news = scene.write("mine.js", "function uplink(event) {\n  return [;\n}");
    assert!(!news.is_offered && news.names.contains("mine"));
    let (step, reason) = scene.rejection("mine").unwrap();
    assert_eq!(step, Step::Configured);
    assert!(reason.contains("2:"), "line and column: {reason}");
    assert_eq!(scene.answer("mine").unwrap(), "one");
    assert!(scene.write("other.txt", "").names.is_empty());
    assert!(scene.write("mine.js", &script("one")).names.contains("mine"), "it is right again");
    assert_eq!(scene.rejection("mine"), None);
}

#[test]
fn what_failed_before_its_file_became_unreadable_is_not_tried_again() {
    let mut scene = Scene::new(MINE, &[("mine.js", &script("one"))]);
    scene.write("mine.js", "function uplink( {");
    assert_eq!(scene.rejection("mine").map(|(step, _)| step), Some(Step::Configured));
    std::fs::write(scene.plugin("mine.js"), b"\xff").unwrap();
    scene.rest();
    assert_eq!(scene.rejection("mine").map(|(step, _)| step), Some(Step::Identified));
    assert_eq!(scene.slot("mine").status().rejections, 2);
    assert_eq!(scene.answer("mine").unwrap(), "one");
    // What is readable again is told again.
    scene.write("mine.js", "function uplink( {");
    assert_eq!(scene.rejection("mine").map(|(step, _)| step), Some(Step::Configured));
}

#[test]
fn a_half_written_component_is_rejected_and_the_whole_one_then_serves() {
    let emqx = Artifact::built_in("emqx").unwrap();
    let mut scene = Scene::new("[[translator]]\nname = \"emqx\"\n", &[]);
    let number = scene.slot("emqx").active().number();
    std::fs::write(scene.plugin("emqx.wasm"), &emqx.bytes()[..10_000]).unwrap();
    scene.rest();
    assert_eq!(scene.rejection("emqx").unwrap().0, Step::Identified);
    assert_eq!(scene.slot("emqx").active().number(), number, "the one in the box still serves");
    // It says who it is, so that it is not the same file.
    let mut whole = emqx.bytes().to_vec();
    whole.extend(b"\0\x02\x01x");
    std::fs::write(scene.plugin("emqx.wasm"), &whole).unwrap();
    assert!(scene.rest().is_offered);
    assert_eq!(scene.rejection("emqx"), None);
    assert!(scene.slot("emqx").active().number() > number);
}

#[test]
fn a_deleted_file_serves_until_somebody_asks_for_the_files_to_be_read() {
    let mut scene = Scene::new("", &[("a.js", &script("a"))]);
    assert_eq!(scene.names(), ["emqx", "a"]);
    std::fs::remove_file(scene.plugin("a.js")).unwrap();
    scene.rest();
    assert_eq!(scene.answer("a").unwrap(), "a");
    let news = scene.request();
    assert!(news.is_rerouted && news.names.contains("a"));
    assert_eq!(scene.names(), ["emqx"]);
    let draining: Vec<_> = scene.deployment.draining().map(|slot| slot.name().to_owned()).collect();
    assert_eq!(draining, ["a"]);
    assert!(scene.look(5 * 60 * 1_000 - 1).removed.is_empty());
    assert_eq!(scene.look(1).removed, BTreeSet::from(["a".to_owned()]));
    assert_eq!(scene.deployment.draining().count(), 0);
}

#[test]
fn a_slot_that_drains_serves_again_when_its_file_is_back() {
    let mut scene = Scene::new("", &[("a.js", &script("a"))]);
    let number = scene.slot("a").active().number();
    std::fs::remove_file(scene.plugin("a.js")).unwrap();
    scene.rest();
    scene.request();
    assert!(scene.write("a.js", &script("a")).is_rerouted);
    assert_eq!((scene.names().len(), scene.slot("a").active().number()), (2, number));
}

#[test]
fn a_file_that_is_dropped_in_serves_whom_it_claims() {
    let mut scene = Scene::new("", &[]);
    assert_eq!(scene.names(), ["emqx"]);
    assert!(scene.write("meters.js", &script("m")).is_rerouted);
    assert_eq!(scene.names(), ["emqx", "meters"]);
    let manifest =
        "name = \"water\"\nversion = \"2.0.0\"\ncontract = \"1.0\"\n[claims]\nendpoints = [\"w-*\"]\n";
    assert!(scene.write("meters.toml", manifest).is_rerouted);
    assert_eq!(scene.names(), ["emqx", "water"], "its manifest gives it another name");
    assert_eq!(scene.slot("water").status().active.version.as_deref(), Some("2.0.0"));
    assert!(format!("{:?}", scene.deployment.routing()).contains("w-*"));
}

#[test]
fn two_slots_have_the_translator_in_the_gateway_with_settings_of_their_own() {
    let slot = |name: &str, mountpoint: &str| {
        format!(
            "[[translator]]\nname = {name:?}\nartifact = \"builtin:emqx\"\n[translator.settings]\nmountpoint = {mountpoint:?}\n"
        )
    };
    let scene = Scene::new(&(slot("north", "n/") + &slot("south", "s/")), &[]);
    let filter = |name: &str| scene.slot(name).active().subscriptions().filters[0].filter.clone();
    assert_eq!((filter("north").as_str(), filter("south").as_str()), ("n/dn/#", "s/dn/#"));
    let error = Scene::try_new("[[translator]]\nname = \"a\"\nartifact = \"builtin:b\"", &[]).err().unwrap();
    assert!(error.to_string().contains("no translator \"b\" is built in; there is: emqx"), "{error}");
}

#[test]
fn a_component_without_a_manifest_is_told_what_to_do() {
    let mut scene = Scene::new("", &[]);
    let mut bytes = Artifact::built_in("emqx").unwrap().bytes().to_vec();
    std::fs::write(scene.plugin("mine.wasm"), &bytes).unwrap();
    scene.rest();
    let (step, reason) = scene.rejection("mine").unwrap();
    assert_eq!(step, Step::Identified);
    assert!(
        reason.contains("[[translator]] name = \"mine\"") && reason.contains("tidegate.toml"),
        "{reason}"
    );
    // What it was told helps.
    assert!(scene.configure(MINE).is_rerouted);
    assert_eq!((scene.names(), scene.rejection("mine")), (vec!["mine".to_owned()], None));
    bytes.clear();
}

#[test]
fn what_was_rejected_is_forgotten_with_its_file() {
    let mut scene = Scene::new("", &[("broken.js", "function uplink( {")]);
    let component = include_bytes!("../../tests/fixtures/hostile.wasm");
    std::fs::write(scene.plugin("mine.wasm"), component).unwrap();
    scene.rest();
    for (name, file) in [("mine", "mine.wasm"), ("broken", "broken.js")] {
        assert!(scene.rejection(name).is_some());
        std::fs::remove_file(scene.plugin(file)).unwrap();
        assert!(scene.rest().names.contains(name));
        assert_eq!(scene.rejection(name), None);
    }
}

#[test]
fn of_two_files_with_one_name_the_second_is_rejected() {
    let same = "name = \"same\"\nversion = \"1.0.0\"\ncontract = \"1.0\"\n";
    let files = [("a.js", &*script("a")), ("a.toml", same)];
    let mut scene = Scene::new("", &files);
    std::fs::write(scene.plugin("0.toml"), same).unwrap();
    scene.write("0.js", &script("0"));
    let (_, reason) = scene.rejection("same").unwrap();
    assert!(reason.contains("0.js") && reason.contains("a.js"), "{reason}");
    assert_eq!(scene.answer("same").unwrap(), "a");
}

#[test]
fn a_translator_that_is_configured_must_be_right_at_the_start() {
    let error =
        |config: &str, files: &[(&str, &str)]| Scene::try_new(config, files).err().unwrap().to_string();
    let text = error(MINE, &[]);
    assert!(text.contains("tidegate.toml:1") && text.contains("mine.wasm"), "{text}");
    let text = error(MINE, &[("mine.js", "let")]);
    assert!(text.contains("mine.js"), "{text}");
    let text = error("[[translator]]\nname = \"emqx\"\nsettings.colour = 1\n", &[]);
    assert!(text.contains("tidegate.toml:3") && text.contains("colour"), "{text}");
    // What was dropped in is no reason to stay away.
    let scene = Scene::new("", &[("bad.js", "let")]);
    assert_eq!(scene.names(), ["emqx"]);
    assert!(scene.rejection("bad").is_some());
}

#[test]
fn a_changed_configuration_applies_as_a_whole() {
    let mut scene = Scene::new(MINE, &[("mine.js", &script("one")), ("more.js", &script("more"))]);
    let number = scene.slot("mine").active().number();
    let news = scene.configure("[[translator]]\nname = \"mine\"\nsettings.x = 1\n[[translator]]\nname = \"emqx\"\n[[route]]\nendpoints = \"m*\"\ntranslators = [\"emqx\"]\n");
    assert!(news.is_offered && news.is_rerouted);
    assert!(scene.slot("mine").active().number() > number, "other settings, another generation");
    let mut names = scene.names();
    names.sort();
    assert_eq!(names, ["emqx", "mine", "more"]);
    assert!(format!("{:?}", scene.deployment.routing()).contains("m*"));
}

#[test]
fn one_bad_thing_refuses_the_whole_configuration() {
    let mut scene = Scene::new(MINE, &[("mine.js", &script("one"))]);
    let number = scene.slot("mine").active().number();
    scene.configure("[[translator]]\nname = \"mine\"\nsettings.x = 1\n[[translator]]\nname = \"gone\"\n");
    assert!(scene.deployment.refusal.as_ref().unwrap().contains("gone"));
    assert_eq!((scene.names(), scene.slot("mine").active().number()), (vec!["mine".to_owned()], number));
    // It was only too early.
    let news = scene.write("gone.js", &script("here"));
    assert!(news.is_offered, "{news:?}");
    assert_eq!(
        (scene.names(), scene.deployment.refusal.as_ref()),
        (vec!["mine".to_owned(), "gone".to_owned()], None)
    );
}

#[test]
fn what_needs_a_restart_is_refused_by_name_with_all_the_rest() {
    let mut scene = Scene::new(MINE, &[("mine.js", &script("one"))]);
    scene.configure(&format!("[coap]\nshards = 3\n{MINE}settings.x = 1\n"));
    let refusal = scene.deployment.refusal.clone().unwrap();
    assert!(
        refusal.contains("tidegate.toml:2") && refusal.contains("coap.shards") && refusal.contains("restart"),
        "{refusal}"
    );
    assert_eq!(scene.slot("mine").active().settings().matches("\"x\":1").count(), 0);
    scene.configure(MINE);
    assert_eq!(scene.deployment.refusal, None);
}

#[test]
fn other_limits_are_another_generation_and_another_policy_is_not() {
    let mut scene = Scene::new(MINE, &[("mine.js", &script("one"))]);
    let number = scene.slot("mine").active().number();
    scene.configure(&format!("{MINE}on-fault = \"drop\"\n"));
    assert_eq!(scene.slot("mine").active().number(), number);
    assert_eq!(scene.slot("mine").policy().on_fault, config::OnFault::Drop);
    scene.configure(&format!("[plugins]\nfuel = 40_000_000\n{MINE}"));
    assert!(scene.slot("mine").active().number() > number);
    assert_eq!(scene.slot("mine").policy().on_fault, config::OnFault::Raw);
}

#[test]
fn what_was_put_back_is_not_tried_again_and_what_is_better_is() {
    let mut scene = Scene::new(MINE, &[("mine.js", &script("one"))]);
    let first = scene.slot("mine").active().number();
    let bad = "function uplink(event) { return []; }\nfunction downlink(message) { for (;;) {} }\n";
    assert!(scene.write("mine.js", bad).is_offered);
    for _ in 0..3 {
        assert_eq!(scene.answer("mine").unwrap_err().outcome(), "limit");
    }
    assert_eq!(
        (scene.answer("mine").unwrap(), scene.slot("mine").active().number()),
        ("one".to_owned(), first)
    );
    let status = scene.slot("mine").status();
    assert_eq!((status.reverted, status.rejected.unwrap().step), (1, Step::Reverted));
    assert!(!scene.write("other.js", &script("other")).names.contains("mine"));
    assert!(!scene.request().is_offered);
    assert!(!scene.write("mine.js", &script("one")).is_offered, "that serves already");
    assert!(scene.write("mine.js", &script("two")).is_offered);
    assert_eq!(scene.answer("mine").unwrap(), "two");
}

#[test]
fn a_file_behind_a_link_is_another_one_when_the_link_is_turned() {
    let mut scene = Scene::new("", &[]);
    let (one, two) = (scene.folder.path().join("v1.js"), scene.folder.path().join("v2.js"));
    std::fs::write(&one, script("one")).unwrap();
    std::fs::write(&two, script("two")).unwrap();
    std::os::unix::fs::symlink(&one, scene.plugin("mine.js")).unwrap();
    scene.rest();
    assert_eq!(scene.answer("mine").unwrap(), "one");
    std::os::unix::fs::symlink(&two, scene.plugin(".new")).unwrap();
    std::fs::rename(scene.plugin(".new"), scene.plugin("mine.js")).unwrap();
    scene.rest();
    assert_eq!(scene.answer("mine").unwrap(), "two");
}

#[test]
fn a_slot_that_crashes_again_and_again_rests_by_its_status() {
    let bad = "function uplink(event) { return []; }\nfunction downlink(message) { for (;;) {} }\n";
    let scene = Scene::new(MINE, &[("mine.js", bad)]);
    assert_eq!(scene.slot("mine").status().state, State::Active);
    for _ in 0..3 {
        assert_eq!(scene.answer("mine").unwrap_err().outcome(), "limit");
    }
    assert_eq!(scene.slot("mine").status().state, State::Resting);
    assert_eq!(scene.answer("mine").unwrap_err().outcome(), "unavailable");
}

#[test]
fn what_is_told_about_slots_is_told_once() {
    let mut scene = Scene::new("", &[("a.js", &script("a")), ("bad.js", "let")]);
    let mut notices = notice::Notices::default();
    let mut told = Vec::new();
    let mut tell = |scene: &Scene, room: usize| {
        told.clear();
        let offer = |publication: crate::mqtt::Publication| {
            let has_room = told.len() < room;
            if has_room {
                told.push((publication.topic, publication.retain, publication.payload));
            }
            has_room
        };
        notices.tell(&notice::status(&scene.deployment), scene.now, offer);
        (told.clone(), notices.next().is_some())
    };
    let (first, is_left) = tell(&scene, 2);
    let topics: Vec<_> = first.iter().map(|(topic, retain, _)| (topic.as_str(), *retain)).collect();
    assert_eq!(topics, [("tidegate/translator/a", true), ("tidegate/translator/bad", true)]);
    assert!(is_left, "no room for the third");
    let bad: serde_json::Value = serde_json::from_slice(&first[1].2).unwrap();
    assert_eq!((&bad["state"], &bad["rejected"]["step"]), (&json!("rejected"), &json!("configured")));
    let (second, is_left) = tell(&scene, 2);
    assert_eq!((second.len(), second[0].0.as_str(), is_left), (1, "tidegate/translator/emqx", false));
    assert_eq!(tell(&scene, 2).0, []);
    std::fs::remove_file(scene.plugin("a.js")).unwrap();
    std::fs::remove_file(scene.plugin("bad.js")).unwrap();
    scene.rest();
    scene.request();
    let (third, _) = tell(&scene, 9);
    let a: serde_json::Value = serde_json::from_slice(&third[0].2).unwrap();
    assert_eq!((third.len(), &a["state"]), (2, &json!("draining")));
    assert_eq!(
        (third[1].0.as_str(), third[1].2.len()),
        ("tidegate/translator/bad", 0),
        "nothing is retained"
    );
}
