//! Translators change while traffic flows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use coap_lite::MessageType;
use serde_json::{Value as Json, json};
use tidegate_tests::{
    Application, Broker, Device, Gateway, Inbox, Message, MqttVersion, PATIENCE, Setup, Value, report,
};

#[test]
fn a_script_swapped_under_load_loses_and_reorders_nothing() -> Result<()> {
    let mut scene = Scene::begin(&[("mine.js", &script("0"))], json!([{ "name": "mine" }]))?;
    let seen = scene.under_load("/3303/0/5700", |scene| {
        for number in 1..=10 {
            scene.replace("mine.js", &script(&number.to_string()))?;
            scene.said(&["translator live", "translator=\"mine\""])?;
        }
        Ok(())
    })?;
    ensure!(seen.len() > 5, "the load must have met more generations: {seen:?}");
    Ok(())
}

#[test]
fn a_component_swapped_under_load_loses_and_reorders_nothing() -> Result<()> {
    let settings = json!({ "translators": { "notify": { "topic": "up/notify", "qos": 1 } } });
    let mut scene = Scene::begin(&[], json!([{ "name": "emqx", "settings": settings }]))?;
    scene.under_load("/3303/0", |scene| {
        for number in 0..3 {
            scene.replace_bytes("emqx.wasm", &emqx(number)?)?;
            let said = scene.said(&["translator live", "translator=\"emqx\""])?;
            report(&format!("save to live, a component: {}", after(&said)));
        }
        Ok(())
    })?;
    Ok(())
}

#[test]
fn a_half_written_file_is_rejected_and_the_finished_one_serves() -> Result<()> {
    let mut scene = Scene::begin(&[("mine.js", &script("one"))], json!([{ "name": "mine" }]))?;
    let device = scene.device("sensor")?;
    ensure!(scene.by(&device, 1)? == "one");
    let whole = script("two");
    scene.write("mine.js", &whole[..whole.len() / 2])?;
    let said = scene.said(&["ERROR", "translator rejected", "mine.js", "step=configured"])?;
    ensure!(said.contains("SyntaxError"), "{said}");
    ensure!(scene.by(&device, 2)? == "one");
    let status = scene.status("mine", |status| status["rejected"]["step"] == "configured")?;
    ensure!(status["state"] == "active", "{status}");
    scene.write("mine.js", &whole)?;
    let said = scene.said(&["translator live", "generation="])?;
    report(&format!("save to live, a script: {}", after(&said)));
    ensure!(scene.by(&device, 3)? == "two");
    let status = scene.status("mine", |status| status["offered"] == 1)?;
    ensure!(status["rejections"] == 1, "{status}");
    Ok(())
}

#[test]
fn a_rename_a_turned_link_a_deletion_and_the_same_bytes() -> Result<()> {
    let mut scene = Scene::begin(&[("mine.js", &script("one"))], json!([{ "name": "mine" }]))?;
    let device = scene.device("sensor")?;
    scene.replace("mine.js", &script("renamed"))?;
    scene.said(&["translator live"])?;
    ensure!(scene.by(&device, 1)? == "renamed");

    let folder = scene.gateway.folder().to_owned();
    std::fs::write(folder.join("v1.js"), script("linked"))?;
    std::os::unix::fs::symlink(folder.join("v1.js"), scene.plugin(".new"))?;
    std::fs::rename(scene.plugin(".new"), scene.plugin("mine.js"))?;
    scene.said(&["translator live"])?;
    ensure!(scene.by(&device, 2)? == "linked");
    // The file behind the link changes, in another folder.
    std::fs::write(folder.join("v1.js"), script("behind"))?;
    scene.said(&["translator live"])?;
    ensure!(scene.by(&device, 3)? == "behind");

    std::fs::remove_file(scene.plugin("mine.js"))?;
    scene.said(&["WARN", "the file of a translator is gone"])?;
    ensure!(scene.by(&device, 4)? == "behind");
    scene.write("mine.js", &script("behind"))?;
    // What comes after it in the same folder shows that it was looked at.
    scene.write("other.js", &script("other"))?;
    scene.said(&["translator live", "translator=\"other\""])?;
    ensure!(scene.gateway.process().times_said(&["translator live", "translator=\"mine\""]) == 0);
    ensure!(scene.by(&device, 5)? == "behind");
    Ok(())
}

#[test]
fn of_fifty_writes_in_a_second_the_last_serves() -> Result<()> {
    let mut scene = Scene::begin(&[("mine.js", &script("one"))], json!([{ "name": "mine" }]))?;
    let device = scene.device("sensor")?;
    for number in 1..=50 {
        scene.write("mine.js", &script(&number.to_string()))?;
    }
    scene.said(&["translator live"])?;
    // A slow machine may have found a pause between two writes.
    for sequence in 1..=50 {
        if scene.by(&device, sequence)? == "50" {
            return Ok(());
        }
        scene.said(&["translator live"])?;
    }
    bail!("the last write does not serve")
}

#[test]
fn a_generation_that_fails_at_once_is_put_back_and_told() -> Result<()> {
    let mut scene =
        Scene::begin(&[("mine.js", &script("one"))], json!([{ "name": "mine", "on-fault": "drop" }]))?;
    let device = scene.device("sensor")?;
    ensure!(scene.by(&device, 1)? == "one");
    let spins = "function uplink(event) { if (event.type === 'notified') for (;;) {} return []; }\n";
    scene.replace("mine.js", spins)?;
    scene.said(&["translator live"])?;
    for sequence in 2..=4 {
        scene.notify(&device, sequence)?;
    }
    scene.said(&["ERROR", "translator reverted", "limit"])?;
    ensure!(scene.by(&device, 5)? == "one");
    let status = scene.status("mine", |status| status["reverted"] == 1)?;
    ensure!(status["rejected"]["step"] == "reverted" && status["active"]["generation"] == 1, "{status}");
    let fault = scene.application.take("the fault", |message| message.topic == "tidegate/fault")?;
    let fault = fault.json().context("JSON")?;
    ensure!(
        fault["outcome"] == "limit" && fault["cause"] == "notified" && fault["about"] == "sensor",
        "{fault}"
    );
    // What was put back is not tried again, something better is.
    scene.replace("mine.js", &script("two"))?;
    scene.said(&["translator live"])?;
    ensure!(scene.by(&device, 6)? == "two");
    Ok(())
}

#[test]
fn translators_routes_and_settings_of_a_saved_configuration_apply_as_a_whole() -> Result<()> {
    let translators = json!([{ "name": "mine", "settings": { "tag": "a" } }]);
    let mut scene = Scene::begin(&[("mine.js", &script("mine"))], translators)?;
    let device = scene.device("sensor")?;
    ensure!(scene.by(&device, 1)? == "mine a");

    let file = scene.gateway.folder().join("tidegate.toml");
    let before = std::fs::read_to_string(&file)?;
    std::fs::write(&file, before.replace("tag = \"a\"", "tag = \"b\""))?;
    scene.said(&["translator live", "translator=\"mine\""])?;
    ensure!(scene.by(&device, 2)? == "mine b");

    let routed = before.replace("tag = \"a\"", "tag = \"c\"")
        + "\n[[translator]]\nname = \"more\"\n[[route]]\nendpoints = \"*\"\ntranslators = [\"more\"]\n";
    std::fs::write(&file, &routed)?;
    let said = scene.said(&["ERROR", "configuration refused"])?;
    ensure!(said.contains("tidegate.toml:") && said.contains("more.wasm"), "{said}");
    ensure!(scene.by(&device, 3)? == "mine b", "nothing of it applies");

    let restart = before.replace("[coap]", "[coap]\nblock-size = \"512B\"");
    std::fs::write(&file, restart)?;
    let said = scene.said(&["ERROR", "configuration refused", "coap.block-size"])?;
    ensure!(said.contains("restart"), "{said}");

    std::fs::write(&file, routed)?;
    scene.said(&["ERROR", "configuration refused", "more.wasm"])?;
    scene.write("more.js", &script("more"))?;
    scene.said(&["configuration read", "routes=1"])?;
    let other = scene.device("other")?;
    ensure!(scene.by(&other, 1)? == "more", "the route serves who registers now");
    ensure!(scene.by(&device, 4)? == "mine c", "what mine has asked for comes to mine");
    Ok(())
}

#[test]
fn sighup_reads_everything_again_and_ends_nothing() -> Result<()> {
    let mut scene = Scene::begin(&[("mine.js", &script("one"))], json!([{ "name": "mine" }]))?;
    let device = scene.device("sensor")?;
    scene.gateway.process().signal("HUP")?;
    scene.said(&["configuration read", "is_new=false"])?;
    ensure!(scene.by(&device, 1)? == "one");
    ensure!(scene.gateway.process().times_said(&["translator live", "translator=\"mine\""]) == 0);
    ensure!(scene.gateway.terminate()?.code() == Some(0));
    Ok(())
}

/// Publishes the value of each notification of 3303/0/5700, and who says so.
fn script(by: &str) -> String {
    format!(
        "let tag = '';\n\
         function configure(settings) {{ tag = settings.tag ? ' ' + settings.tag : ''; }}\n\
         function uplink(event) {{\n\
           if (event.type === 'registered') return {{ observe: '/3303/0/5700' }};\n\
           if (event.type !== 'notified') return [];\n\
           return {{ topic: `n/${{event.endpoint}}`, qos: 1, payload: {{ value: event.samples[0].value, by: '{by}' + tag }} }};\n\
         }}\n"
    )
}

/// The translator in the box, as another file each time: with a section that means nothing.
fn emqx(number: u8) -> Result<Vec<u8>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/artifacts/emqx.wasm");
    let mut bytes = std::fs::read(file)?;
    bytes.extend([0, 3, 1, b'x', number]);
    Ok(bytes)
}

/// The time in `after=…` of a log line.
fn after(said: &str) -> &str {
    let value = said.split("after=").nth(1).unwrap_or("?");
    value.split(' ').next().unwrap_or(value)
}

struct Scene {
    gateway: Gateway,
    application: Application,
}

impl Scene {
    fn begin(files: &[(&str, &str)], translators: Json) -> Result<Self> {
        let mut setup = Setup::new(Broker::Embedded, "fixed");
        setup.shards = 2;
        setup.translators = translators;
        setup.files =
            files.iter().map(|(name, text)| (format!("plugins/{name}"), (*text).to_owned())).collect();
        let mut gateway = Gateway::start(&setup)?;
        // From here on only what happens while it runs counts.
        gateway.process().forget();
        let application = Application::connect(gateway.mqtt(), MqttVersion::V5)?;
        Ok(Self { gateway, application })
    }

    /// A line of the log since the last that was waited for.
    fn said(&mut self, parts: &[&str]) -> Result<String> {
        let said = self.gateway.process().said(parts)?;
        self.gateway.process().forget();
        Ok(said)
    }

    fn plugin(&self, name: &str) -> PathBuf {
        self.gateway.plugins().join(name)
    }

    /// In place, as some editors do.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.plugin(name), text)?)
    }

    /// Written beside and renamed, as others do.
    fn replace(&self, name: &str, text: &str) -> Result<()> {
        self.replace_bytes(name, text.as_bytes())
    }

    fn replace_bytes(&self, name: &str, bytes: &[u8]) -> Result<()> {
        std::fs::write(self.plugin(".beside"), bytes)?;
        Ok(std::fs::rename(self.plugin(".beside"), self.plugin(name))?)
    }

    /// One that is registered and observed.
    fn device(&self, endpoint: &str) -> Result<Device> {
        let mut device = Device::new(self.gateway.coap(), endpoint)?;
        device.set("/3303/0/5700", Value::Float(0.0))?;
        let mut registration = device.registration();
        registration.payload = b"</3303/0>".to_vec();
        device.register_with(&registration)?;
        device.requests().take("the observe request", |request| request.get_observe_value().is_some())?;
        Ok(device)
    }

    fn notify(&self, device: &Device, sequence: u32) -> Result<()> {
        device.set("/3303/0/5700", Value::Float(f64::from(sequence)))?;
        let sent = device.notify("/3303/0/5700", MessageType::Confirmable)?;
        device.acknowledged(&sent)?;
        Ok(())
    }

    /// Who translates a notification of this value.
    fn by(&self, device: &Device, sequence: u32) -> Result<String> {
        self.notify(device, sequence)?;
        let message = self.application.take("the notification", |message| {
            message.json().is_some_and(|json| json["value"].as_f64() == Some(f64::from(sequence)))
        })?;
        let json = message.json().context("JSON")?;
        Ok(json["by"].as_str().context("who")?.to_owned())
    }

    /// The latest that is told about a slot and that is as it should be.
    fn status(&self, name: &str, is: impl Fn(&Json) -> bool) -> Result<Json> {
        let topic = format!("tidegate/translator/{name}");
        let message = self.application.statuses().take("status", |message| {
            message.topic == topic && message.json().is_some_and(|status| is(&status))
        })?;
        message.json().context("JSON")
    }

    /// Four devices notify without a pause while something is done. Each value must arrive once and in its order. Who has
    /// translated them.
    fn under_load(&mut self, path: &str, act: impl FnOnce(&mut Self) -> Result<()>) -> Result<Vec<String>> {
        let names = ["a", "b", "c", "d"];
        let devices: Vec<Device> = names.iter().map(|name| self.device(name)).collect::<Result<_>>()?;
        if path == "/3303/0" {
            // What `emqx` says about a registration comes first.
            devices.iter().try_for_each(|_| self.application.of_type("observe").map(drop))?;
            devices.iter().try_for_each(|_| self.application.of_type("register").map(drop))?;
        }
        ensure!(self.application.drain().is_empty());
        self.gateway.process().forget();
        let (is_over, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
        let inbox = Arc::clone(self.application.shared_inbox());
        let counts = thread::scope(|scope| {
            let load = |device| notify_until(&is_over, &sent, &inbox, device, path);
            let loads: Vec<_> = devices.iter().map(|device| scope.spawn(move || load(device))).collect();
            let done = act(self);
            is_over.store(true, Ordering::SeqCst);
            let counts: Result<Vec<u32>> =
                loads.into_iter().map(|load| load.join().map_err(|_| anyhow::anyhow!("panicked"))?).collect();
            done.and(counts)
        })?;
        let all = sent.load(Ordering::SeqCst);
        let has_all = |messages: &[_]| messages.len() >= all;
        ensure!(inbox.wait_until(PATIENCE, has_all), "{all} were acknowledged, {} came", inbox.all().len());
        let mut seen = Vec::new();
        let messages = self.application.drain();
        for (name, sent) in names.iter().zip(&counts) {
            let of: Vec<_> = messages.iter().filter_map(|message| values(message, [*name])).collect();
            let expected: Vec<f64> = (1..=*sent).map(f64::from).collect();
            let came: Vec<f64> = of.iter().map(|(value, _)| *value).collect();
            ensure!(came == expected, "{name}: {sent} were acknowledged, and came as {came:?}");
            seen.extend(of.into_iter().map(|(_, by)| by));
        }
        report(&format!("notifications under reload, none lost or reordered: {all}"));
        seen.dedup();
        seen.sort();
        seen.dedup();
        Ok(seen)
    }
}

/// One device's notifications, 1, 2, 3…, each after the acknowledgement of the one before, and never so many more than have
/// arrived that a broker would throw some away. How many there were.
fn notify_until(
    is_over: &AtomicBool,
    sent: &AtomicUsize,
    inbox: &Inbox<Message>,
    device: &Device,
    path: &str,
) -> Result<u32> {
    let mut sequence = 0;
    while !is_over.load(Ordering::SeqCst) {
        sequence += 1;
        let all = sent.fetch_add(1, Ordering::SeqCst);
        ensure!(
            inbox.wait_until(PATIENCE, |came| came.len() + 200 > all),
            "{} of {all} came",
            inbox.all().len()
        );
        device.set("/3303/0/5700", Value::Float(f64::from(sequence)))?;
        let notification = device.notify(path, MessageType::Confirmable)?;
        device.acknowledged(&notification)?;
    }
    Ok(sequence)
}

/// The value in a notification of one of these clients, of our script or of `emqx`, and who has translated it. The answer
/// to the observe request, which is 0, is none.
fn values<const N: usize>(message: &Message, names: [&str; N]) -> Option<(f64, String)> {
    let json = message.json()?;
    let (value, by) = match message.topic.strip_prefix("n/") {
        Some(name) if names.contains(&name) => (json["value"].as_f64()?, json["by"].as_str()?.to_owned()),
        None if message.topic == "up/notify"
            && names.iter().any(|name| json.to_string().contains(&format!("\"{name}\""))) =>
        {
            (json["data"]["content"][0]["value"].as_f64()?, "emqx".to_owned())
        }
        _ => return None,
    };
    (value > 0.0).then_some((value, by))
}
