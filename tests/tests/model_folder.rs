//! The operator's folder of object definitions: what a value is told as follows it while the gateway runs.

use anyhow::{Result, ensure};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tidegate_tests::{Application, Broker, Device, Gateway, MqttVersion, Process, Setup, Value, tidegate};

/// The device answers in text, which does not say what it is. Object 31024 is in no registry.
#[test]
fn a_value_is_typed_by_the_definition_of_the_moment() -> Result<()> {
    let mut scene = Scene::begin(&[("mine.xml", &definitions(&[31024], "Integer"))])?;
    ensure!(scene.read()? == json!(20), "as the folder has it at the start");

    scene.write("mine.xml", &definitions(&[31024, 31025], "String"))?;
    scene.gateway.process().said(&["object definitions read", "definitions=2", "is_new=true"])?;
    ensure!(scene.read()? == json!("20"), "as it has been changed");

    scene.write("mine.xml", "<LWM2M>\n<Object>\n</LWM2M>\n")?;
    let place = "mine.xml, line 3, column 1: ";
    scene.gateway.process().said(&["WARN", place, "what it defined before stays in force"])?;
    ensure!(scene.read()? == json!("20"), "as it was before it broke");

    scene.write("mine.xml", &definitions(&[31023, 31024, 31025], "Float"))?;
    scene.gateway.process().said(&["object definitions read", "definitions=3", "is_new=true"])?;
    ensure!(scene.read()?.as_f64() == Some(20.0), "as it has been repaired");

    scene.write("other.xml", &definitions(&[31024], "Boolean"))?;
    scene.gateway.process().said(&["WARN", "mine.xml and ", "other.xml both define object 31024"])?;
    Ok(())
}

#[test]
fn sighup_reads_the_folder_again_and_ends_nothing() -> Result<()> {
    let mut scene = Scene::begin(&[("mine.xml", &definitions(&[31024], "Integer"))])?;
    scene.gateway.process().signal("HUP")?;
    scene.gateway.process().said(&["object definitions read", "definitions=1", "is_new=false"])?;
    ensure!(scene.read()? == json!(20));
    ensure!(scene.gateway.terminate()?.code() == Some(0));
    Ok(())
}

#[test]
fn a_broken_file_is_named_at_the_start_and_by_the_check() -> Result<()> {
    let wrong = definitions(&[31024], "Sting");
    let good = definitions(&[31024], "Integer");
    let mut scene = Scene::begin(&[("a.xml", &wrong), ("b.xml", &good)])?;
    scene.gateway.process().said(&["WARN", "a.xml, line 4, column ", "`Sting`", "it is skipped"])?;
    ensure!(scene.read()? == json!(20), "the other file is in force");

    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("tidegate.toml"), "")?;
    std::fs::create_dir(folder.path().join("models"))?;
    std::fs::write(folder.path().join("models/good.xml"), &good)?;
    let (code, said) = check(&folder)?;
    ensure!(code == Some(0) && said.contains("(files: 1, definitions: 1)"), "{code:?} {said}");
    std::fs::write(folder.path().join("models/wrong.xml"), &wrong)?;
    let (code, said) = check(&folder)?;
    ensure!(code == Some(1), "{code:?} {said}");
    ensure!(said.contains("wrong.xml, line 4, column ") && said.contains("`Sting`"), "{said}");
    Ok(())
}

struct Scene {
    gateway: Gateway,
    application: Application,
    device: Device,
}

impl Scene {
    /// A device with object 31024 is registered at a gateway with these files.
    fn begin(files: &[(&str, &str)]) -> Result<Self> {
        let mut setup = Setup::new(Broker::Embedded, "fixed");
        setup.settings["auto_observe"] = json!(false);
        setup.models = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect(gateway.mqtt(), MqttVersion::V5)?;
        let mut device = Device::new(gateway.coap(), "sensor")?;
        device.set("/31024/10/1", Value::Integer(20))?;
        device.register()?;
        application.of_type("register")?;
        Ok(Self { gateway, application, device })
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.gateway.models().join(name), text)?)
    }

    /// The value of `/31024/10/1` as the application gets it.
    fn read(&self) -> Result<Json> {
        let command = json!({ "reqID": 1, "msgType": "read", "data": { "path": "/31024/10/1" } });
        self.application.command("dn/sensor", &command)?;
        let answer = self.application.of_type("read")?;
        ensure!(
            answer["data"]["code"] == "2.05",
            "{answer}; the device saw {:?}",
            self.device.requests().all()
        );
        Ok(answer["data"]["content"][0]["value"].clone())
    }
}

/// Objects whose resource 1 is of this type; that stands in line 4.
fn definitions(objects: &[u16], kind: &str) -> String {
    let object = |id: &u16| {
        format!(
            "<Object ObjectType=\"MODefinition\"><Name>Mine</Name><ObjectID>{id}</ObjectID>\n\
             <MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory>\n<Resources><Item ID=\"1\">\
             <Name>Part</Name><Operations>RW</Operations><MultipleInstances>Single</MultipleInstances>\
             <Mandatory>Mandatory</Mandatory>\n<Type>{kind}</Type><RangeEnumeration/><Units/></Item></Resources></Object>"
        )
    };
    format!("<LWM2M>{}</LWM2M>", objects.iter().map(object).collect::<String>())
}

/// The exit code of `tidegate check` on the configuration in a folder, and what it said.
fn check(folder: &TempDir) -> Result<(Option<i32>, String)> {
    let file = folder.path().join("tidegate.toml");
    let mut process = Process::start(tidegate()?.arg("check").arg("--config").arg(&file))?;
    let status = process.ended()?;
    Ok((status.code(), process.everything()))
}
