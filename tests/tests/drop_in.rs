//! A translator is copied into the folder and serves; nobody has configured it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use coap_lite::MessageType;
use serde_json::{Value as Json, json};
use tidegate_tests::{Application, Broker, Device, Gateway, Message, MqttVersion, Setup, Value, code_text};

#[test]
fn a_script_that_is_copied_in_serves_clients_that_are_there_already() -> Result<()> {
    let scene = Scene::begin(|_| {})?;
    let device = scene.observed_by_emqx("sensor")?;
    scene.copy("mine.js", script("mine").as_bytes())?;
    scene.live("mine")?;
    let status = scene.status("mine", |status| status["state"] == "active")?;
    ensure!(status["active"]["digest"].as_str().is_some_and(|digest| digest.len() == 64), "{status}");

    // It claims everybody, and so hears of what the client does from now on …
    ensure!(device.update(&[])? == "2.04");
    scene.comes("mine/sensor/updated")?;
    // … but what another one has asked for is that one's.
    scene.battery_notified(&device, 41)?;
    ensure!(scene.application.of_type("notify")?["data"]["content"].as_array().is_some());
    let mut newcomer = scene.device("newcomer")?;
    newcomer.register()?;
    scene.comes("mine/newcomer/registered")?;
    scene.asked_for(&newcomer)?;
    scene.temperature_notified(&newcomer, 3)?;
    scene.comes("mine/newcomer/notified")?;
    ensure!(scene.count("up/register") == 0, "{:?}", scene.application.inbox().all());
    Ok(())
}

#[test]
fn the_manifest_beside_a_script_says_whom_it_serves_and_what_its_settings_are() -> Result<()> {
    let scene = Scene::begin(|_| {})?;
    let manifest = "name = \"weather\"\nversion = \"2.1.0\"\n\
                    [claims]\nendpoints = [\"w-*\", \"weather-?\"]\nobjects = [31024, 9999]\n\
                    [settings.prefix]\ntype = \"string\"\ndefault = \"rain\"\n";
    scene.copy("mine.toml", manifest.as_bytes())?;
    scene.copy("mine.js", script("").as_bytes())?;
    let said = scene.live("weather")?;
    ensure!(said.contains("version=\"2.1.0\""), "{said}");
    for (endpoint, topic) in
        [("w-1", "rain/w-1/registered"), ("weather-2", "rain/weather-2/registered"), ("w", "up/register")]
    {
        scene.device(endpoint)?.register()?;
        scene.comes(topic)?;
    }
    // One of its endpoints, but none of its objects.
    scene.registered_with("w-2", "</3/0>,</3303/0>")?;
    scene.comes("up/register")?;
    ensure!(scene.count("rain/w-2/registered") == 0);
    Ok(())
}

#[test]
fn a_component_that_is_copied_in_is_taken_by_its_embedded_manifest() -> Result<()> {
    let scene = Scene::begin(|_| {})?;
    let before = scene.observed_by_emqx("box-0")?;
    let manifest = "name = \"boxed\"\nversion = \"3.2.1\"\ncontract = \"1.0\"\n\
                    [claims]\nendpoints = [\"box-*\"]\n\
                    [settings.mountpoint]\ntype = \"string\"\ndefault = \"box/\"\n\
                    [settings.compatibility]\ntype = \"string\"\ndefault = \"fixed\"\n";
    scene.copy("whatever.wasm", &with_manifest(&emqx()?, manifest)?)?;
    let said = scene.live("boxed")?;
    ensure!(said.contains("version=\"3.2.1\"") && said.contains("whatever.wasm"), "{said}");
    let status = scene.status("boxed", |status| status["state"] == "active")?;
    ensure!(status["active"]["version"] == "3.2.1", "{status}");

    let mut device = scene.device("box-1")?;
    device.register()?;
    scene.comes("box/up/register")?;
    let mut other = scene.device("other")?;
    other.register()?;
    scene.comes("up/register")?;
    ensure!(before.update(&[])? == "2.04");
    scene.comes("box/up/update")?;
    // It has subscribed to its own topics while the gateway runs.
    let command = json!({ "reqID": 1, "msgType": "read", "data": { "path": "/3/0/3" } });
    scene.application.command("box/dn/box-1", &command)?;
    let answer = scene.application.take("the answer", |message| {
        message.topic == "box/up/resp" && message.json().is_some_and(|json| json["msgType"] == "read")
    })?;
    ensure!(answer.json().is_some_and(|json| json["data"]["code"] == "2.05"), "{answer:?}");
    Ok(())
}

#[test]
fn a_route_wins_over_what_a_manifest_claims() -> Result<()> {
    let scene =
        Scene::begin(|setup| setup.routes = json!([{ "endpoints": "routed-*", "translators": ["emqx"] }]))?;
    scene.copy("mine.js", script("mine").as_bytes())?;
    scene.live("mine")?;
    scene.device("routed-1")?.register()?;
    scene.comes("up/register")?;
    scene.device("other")?.register()?;
    scene.comes("mine/other/registered")?;
    ensure!(scene.count("mine/routed-1/registered") == 0 && scene.count("up/register") == 0);
    Ok(())
}

#[test]
fn two_that_claim_a_client_both_serve_it_and_each_hears_what_it_has_asked_for() -> Result<()> {
    let scene = Scene::begin(|_| {})?;
    scene.copy("b.js", script("b").as_bytes())?;
    scene.live("b")?;
    scene.copy("a.js", script("a").replace("/3303/0/5700", "/3/0/9").as_bytes())?;
    scene.live("a")?;
    let mut device = scene.device("sensor")?;
    device.register()?;
    // In the order of their names.
    scene.come_in_order(&["a/sensor/registered", "b/sensor/registered"])?;
    scene.asked_for(&device)?;
    scene.asked_for(&device)?;
    scene.temperature_notified(&device, 1)?;
    scene.come_in_order(&["b/sensor/notified"])?;
    scene.battery_notified(&device, 2)?;
    scene.come_in_order(&["a/sensor/notified"])?;
    ensure!(device.update(&[])? == "2.04");
    scene.come_in_order(&["a/sensor/updated", "b/sensor/updated"])
}

#[test]
fn a_route_may_name_several_translators() -> Result<()> {
    let scene = Scene::begin(|setup| {
        setup.files = vec![("plugins/mine.js".to_owned(), script("mine"))];
        setup.translators = json!([setup.translators[0], { "name": "mine" }]);
        setup.routes = json!([{ "endpoints": "both-*", "translators": ["mine", "emqx"] }]);
    })?;
    scene.device("both-1")?.register()?;
    scene.come_in_order(&["mine/both-1/registered", "up/register"])?;
    // A file that the configuration names claims nothing by itself.
    scene.device("other")?.register()?;
    scene.come_in_order(&["up/register"])
}

#[test]
fn a_component_without_a_manifest_is_rejected_with_what_to_do() -> Result<()> {
    let scene = Scene::begin(|_| {})?;
    let hostile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/tests/fixtures/hostile.wasm");
    scene.copy("meters.wasm", &std::fs::read(hostile)?)?;
    let said = scene.gateway.watch().said(&["ERROR", "translator rejected", "meters.wasm"])?;
    ensure!(said.contains("step=identified"), "{said}");
    let status = scene.status("meters", |status| status["state"] == "rejected")?;
    let reason = status["rejected"]["reason"].as_str().context("a reason")?;
    for part in ["no manifest", "tidegate plugin build", "[[translator]] name = \"meters\"", "tidegate.toml"]
    {
        ensure!(reason.contains(part), "{reason}");
    }
    scene.device("sensor")?.register()?;
    scene.comes("up/register")?;

    // The file goes, and with it what is told about it.
    std::fs::remove_file(scene.plugin("meters.wasm"))?;
    let is_empty =
        |message: &Message| message.topic == "tidegate/translator/meters" && message.payload.is_empty();
    scene.application.statuses().take("nothing more about it", is_empty).map(drop)
}

#[test]
fn of_two_files_with_one_name_the_second_is_rejected_by_name() -> Result<()> {
    let scene = Scene::begin(|_| {})?;
    for (file, says) in [("zero", "first"), ("another", "second")] {
        scene.copy(&format!("{file}.toml"), b"name = \"meters\"\n")?;
        scene.copy(&format!("{file}.js"), script(says).as_bytes())?;
        scene.gateway.watch().said(&["translator=\"meters\"", &format!("{file}.js")])?;
    }
    let said = scene.gateway.watch().said(&["ERROR", "translator rejected", "another.js"])?;
    ensure!(said.contains("zero.js") && said.contains("meters"), "{said}");
    let status = scene.status("meters", |status| status["rejected"]["step"] == "identified")?;
    ensure!(status["state"] == "active", "{status}");
    scene.device("one")?.register()?;
    scene.comes("first/one/registered")?;

    // With another name it serves as well.
    scene.copy("another.toml", b"name = \"others\"\n")?;
    scene.live("others")?;
    scene.device("two")?.register()?;
    scene.come_in_order(&["first/two/registered", "second/two/registered"])
}

#[test]
fn a_translator_that_is_taken_out_of_the_configuration_finishes_what_it_has_begun() -> Result<()> {
    let scene = Scene::begin(|setup| {
        setup.files = vec![("mine.js".to_owned(), script("mine"))];
        setup.translators = json!([setup.translators[0], { "name": "mine", "artifact": "mine.js" }]);
        setup.routes = json!([{ "endpoints": "mine-*", "translators": ["mine"] }]);
    })?;
    let device = scene.observed_by("mine", "mine-1")?;
    let file = scene.gateway.folder().join("tidegate.toml");
    let before = std::fs::read_to_string(&file)?;
    let mut configuration: toml::Table = before.parse()?;
    configuration.remove("route").context("a route")?;
    configuration["translator"].as_array_mut().context("translators")?.pop();
    std::fs::write(&file, configuration.to_string())?;
    scene.gateway.watch().said(&["translator removed", "mine"])?;
    scene.status("mine", |status| status["state"] == "draining")?;
    scene.metric("tidegate_translator_state{translator=\"mine\",state=\"draining\"}", "1")?;

    // What it has asked for comes to it; nothing else does.
    for value in 1..=3 {
        scene.temperature_notified(&device, value)?;
        scene.comes("mine/mine-1/notified")?;
    }
    ensure!(device.update(&[])? == "2.04");
    scene.comes("up/update")?;
    scene.device("mine-2")?.register()?;
    scene.comes("up/register")?;
    ensure!(scene.count("mine/mine-2/registered") == 0 && scene.count("mine/mine-1/updated") == 0);

    std::fs::write(&file, before)?;
    scene.status("mine", |status| status["state"] == "active")?;
    scene.device("mine-3")?.register()?;
    scene.comes("mine/mine-3/registered")
}

#[test]
fn a_deleted_file_serves_until_sighup_and_then_finishes_what_it_has_begun() -> Result<()> {
    let scene = Scene::begin(|_| {})?;
    scene.copy("mine.js", script("mine").as_bytes())?;
    scene.live("mine")?;
    let device = scene.observed_by("mine", "one")?;
    std::fs::remove_file(scene.plugin("mine.js"))?;
    scene.gateway.watch().said(&["WARN", "the file of a translator is gone", "mine.js", "SIGHUP"])?;
    scene.device("two")?.register()?;
    scene.comes("mine/two/registered")?;

    scene.gateway.watch().signal("HUP")?;
    scene.status("mine", |status| status["state"] == "draining")?;
    scene.device("three")?.register()?;
    scene.comes("up/register")?;
    scene.temperature_notified(&device, 1)?;
    scene.comes("mine/one/notified")?;
    ensure!(scene.count("mine/three/registered") == 0);
    Ok(())
}

#[test]
fn what_is_copied_in_serves_the_clients_of_all_shards() -> Result<()> {
    let scene = Scene::begin(|setup| setup.shards = 4)?;
    let names: Vec<String> = (0..16).map(|number| format!("sensor-{number}")).collect();
    let mut devices = Vec::new();
    for name in &names {
        let mut device = scene.device(name)?;
        device.register()?;
        devices.push(device);
        scene.comes("up/register")?;
    }
    scene.copy("mine.js", script("mine").as_bytes())?;
    scene.live("mine")?;
    for (device, name) in devices.iter().zip(&names) {
        ensure!(device.update(&[])? == "2.04");
        scene.comes(&format!("mine/{name}/updated"))?;
    }
    // Each shard that has clients has made an instance of its own.
    let instances = scene.metric_value("tidegate_translator_instances_created_total{translator=\"mine\"}")?;
    let instances: u32 = instances.parse()?;
    ensure!((2..=4).contains(&instances), "{instances}");
    Ok(())
}

/// Publishes what happens to a client under `prefix/<endpoint>`, and observes its temperature.
fn script(prefix: &str) -> String {
    format!(
        "let prefix = '{prefix}';\n\
         function configure(settings) {{ prefix = settings.prefix ?? prefix; }}\n\
         function uplink(event) {{\n\
           const told = {{ topic: `${{prefix}}/${{event.endpoint}}/${{event.type}}`, qos: 1, payload: 'x' }};\n\
           if (event.type === 'registered') return [told, {{ observe: '/3303/0/5700' }}];\n\
           return event.type === 'answered' ? [] : told;\n\
         }}\n"
    )
}

/// The translator in the box.
fn emqx() -> Result<Vec<u8>> {
    Ok(std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/artifacts/emqx.wasm"))?)
}

/// A component with this manifest in a custom section at its end, and without manifest and cases of its own (WebAssembly core specification, binary
/// format: id 0, size, name, content; sizes are LEB128).
fn with_manifest(component: &[u8], manifest: &str) -> Result<Vec<u8>> {
    const NAME: &[u8] = b"tidegate-manifest";
    let (preamble, mut rest) = component.split_at_checked(8).context("a preamble")?;
    let mut bytes = preamble.to_vec();
    while let Some((id, after)) = rest.split_first() {
        let (size, content) = leb128(after).context("a size")?;
        let (content, next) = content.split_at_checked(size).context("a whole section")?;
        let is_own = *id == 0 && leb128(content).is_some_and(|(_, name)| name.starts_with(b"tidegate-"));
        if !is_own {
            bytes.extend(&rest[..rest.len() - next.len()]);
        }
        rest = next;
    }
    let mut content = unsigned(NAME.len());
    content.extend(NAME);
    content.extend(manifest.as_bytes());
    bytes.push(0);
    bytes.extend(unsigned(content.len()));
    bytes.extend(content);
    Ok(bytes)
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let end = bytes.iter().take(5).position(|byte| byte & 0x80 == 0)?;
    let value = bytes[..=end].iter().rev().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f));
    Some((value, &bytes[end + 1..]))
}

fn unsigned(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.extend(value.to_le_bytes().first());
    bytes
}

struct Scene {
    gateway: Gateway,
    application: Application,
}

impl Scene {
    /// A gateway with `emqx`, which observes nothing by itself, and whatever else is made of it.
    fn begin(change: impl FnOnce(&mut Setup)) -> Result<Self> {
        let mut setup = Setup::new(Broker::Embedded, "fixed");
        setup.shards = 2;
        setup.http = true;
        setup.settings["auto_observe"] = json!(false);
        setup.translators = json!([{ "name": "emqx", "settings": setup.settings }]);
        change(&mut setup);
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect(gateway.mqtt(), MqttVersion::V5)?;
        Ok(Self { gateway, application })
    }

    fn plugin(&self, name: &str) -> PathBuf {
        self.gateway.plugins().join(name)
    }

    /// As `cp` does.
    fn copy(&self, name: &str, bytes: &[u8]) -> Result<()> {
        Ok(std::fs::write(self.plugin(name), bytes)?)
    }

    fn live(&self, name: &str) -> Result<String> {
        self.gateway.watch().said(&["translator live", &format!("translator=\"{name}\"")])
    }

    /// A client that has a temperature and has not registered yet.
    fn device(&self, endpoint: &str) -> Result<Device> {
        let device = Device::new(self.gateway.coap(), endpoint)?;
        device.set("/3303/0/5700", Value::Float(0.0))?;
        Ok(device)
    }

    fn registered_with(&self, endpoint: &str, links: &str) -> Result<Device> {
        let mut device = self.device(endpoint)?;
        let mut registration = device.registration();
        registration.payload = links.as_bytes().to_vec();
        device.register_with(&registration)?;
        Ok(device)
    }

    /// A client whose Device object `emqx` was told to observe.
    fn observed_by_emqx(&self, endpoint: &str) -> Result<Device> {
        let mut device = self.device(endpoint)?;
        device.register()?;
        self.comes("up/register")?;
        let command = json!({ "reqID": 1, "msgType": "observe", "data": { "path": "/3/0/9" } });
        self.application.command(&format!("dn/{endpoint}"), &command)?;
        ensure!(self.application.of_type("observe")?["data"]["code"] == "2.05");
        Ok(device)
    }

    /// A client whose temperature a script observes.
    fn observed_by(&self, prefix: &str, endpoint: &str) -> Result<Device> {
        let mut device = self.device(endpoint)?;
        device.register()?;
        self.comes(&format!("{prefix}/{endpoint}/registered"))?;
        self.asked_for(&device)?;
        Ok(device)
    }

    /// An observe request has come and been answered.
    fn asked_for(&self, device: &Device) -> Result<()> {
        let is_observe = |request: &coap_lite::Packet| request.get_observe_value().is_some();
        let request = device.requests().take("the observe request", is_observe)?;
        ensure!(code_text(&request) == "0.01", "{request:?}");
        Ok(())
    }

    fn temperature_notified(&self, device: &Device, value: u32) -> Result<()> {
        device.set("/3303/0/5700", Value::Float(f64::from(value)))?;
        let sent = device.notify("/3303/0/5700", MessageType::Confirmable)?;
        device.acknowledged(&sent).map(drop)
    }

    fn battery_notified(&self, device: &Device, value: i64) -> Result<()> {
        device.set("/3/0/9", Value::Integer(value))?;
        let sent = device.notify("/3/0/9", MessageType::Confirmable)?;
        device.acknowledged(&sent).map(drop)
    }

    fn comes(&self, topic: &str) -> Result<()> {
        self.application.take(topic, |message| message.topic == topic).map(drop)
    }

    /// These are the next that come, in this order.
    fn come_in_order(&self, topics: &[&str]) -> Result<()> {
        for topic in topics {
            let message = self.application.take("message", |_| true)?;
            ensure!(message.topic == *topic, "{topic} was expected: {message:?}");
        }
        Ok(())
    }

    fn count(&self, topic: &str) -> usize {
        self.application.inbox().count(|message| message.topic == topic)
    }

    /// What is told about a name, as soon as it is as it should be. What was told before is passed over.
    fn status(&self, name: &str, is: impl Fn(&Json) -> bool) -> Result<Json> {
        let topic = format!("tidegate/translator/{name}");
        let message = self.application.statuses().take("status", |message| {
            message.topic == topic && message.json().is_some_and(|status| is(&status))
        })?;
        self.application.statuses().drain();
        message.json().context("JSON")
    }

    fn metric(&self, sample: &str, value: &str) -> Result<()> {
        let is = self.metric_value(sample)?;
        ensure!(is == value, "{sample} {is}");
        Ok(())
    }

    fn metric_value(&self, sample: &str) -> Result<String> {
        let metrics = self.gateway.http("/metrics")?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no {sample} in\n{metrics}"))?.to_owned())
    }
}
