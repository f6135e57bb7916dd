//! Operations on several paths at once, and Send: the messages of the default translator that EMQX has none of, through the
//! gateway, with a scripted client that takes LwM2M 1.1.

use anyhow::{Context, Result, ensure};
use coap_lite::{CoapOption, MessageType, Packet};
use serde_json::{Value as Json, json};
use tidegate_tests::{
    Application, Broker, Gateway, MqttVersion, Peer, Setup, acknowledgement, code_text, option_uint,
    option_values, request, response,
};

#[test]
fn several_paths_are_read_at_once() -> Result<()> {
    for compatibility in ["fixed", "strict"] {
        let stage = Stage::set(compatibility)?;
        let paths = json!(["/3/0/0", "/3303/0"]);
        stage.command(&json!({ "reqID": 1, "msgType": "read-composite", "data": { "paths": paths } }))?;
        let fetch = stage.device.asked("FETCH")?;
        stage.is_composite(&fetch, "0.05", &json!([{ "n": "/3/0/0" }, { "n": "/3303/0" }]))?;
        stage.answer(
            &fetch,
            "2.05",
            &json!([{ "n": "/3/0/0", "vs": "ACME" }, { "bn": "/3303/0/", "n": "5700", "v": 21.5 }]),
        )?;
        let content =
            json!([{ "path": "/3/0/0", "value": "ACME" }, { "path": "/3303/0/5700", "value": 21.5 }]);
        let data = json!({ "reqPath": "/", "paths": paths, "code": "2.05", "codeMsg": "content", "content": content });
        stage.publishes("up/resp", &json!({ "reqID": 1, "msgType": "read-composite", "data": data }))?;
    }
    Ok(())
}

#[test]
fn several_values_are_written_at_once() -> Result<()> {
    let stage = Stage::set("fixed")?;
    let content = json!([
        { "path": "/3/0/14", "type": "String", "value": "+01:00" },
        { "path": "/1/0/1", "type": "Integer", "value": "300" },
        { "path": "/3303/0/5601", "value": 1.5 },
    ]);
    stage.command(&json!({ "reqID": 2, "msgType": "write-composite", "data": { "content": content } }))?;
    let ipatch = stage.device.asked("iPATCH")?;
    let pack = json!([
        { "n": "/3/0/14", "vs": "+01:00" },
        { "n": "/1/0/1", "v": 300 },
        { "n": "/3303/0/5601", "v": 1.5 },
    ]);
    ensure!(code_text(&ipatch) == "0.07", "{ipatch:?}");
    ensure!(option_uint(&ipatch, CoapOption::ContentFormat) == Some(SENML_JSON), "{ipatch:?}");
    ensure!(serde_json::from_slice::<Json>(&ipatch.payload)? == pack, "{ipatch:?}");
    stage.device.send(&acknowledgement(&ipatch, "2.04"))?;
    let paths = json!(["/3/0/14", "/1/0/1", "/3303/0/5601"]);
    let data = json!({ "reqPath": "/", "paths": paths, "code": "2.04", "codeMsg": "changed" });
    stage.publishes("up/resp", &json!({ "reqID": 2, "msgType": "write-composite", "data": data }))
}

#[test]
fn several_paths_are_observed_as_one_until_that_is_cancelled() -> Result<()> {
    let stage = Stage::set("fixed")?;
    let paths = json!(["/3/0/9", "/3303/0/5700"]);
    let names = json!([{ "n": "/3/0/9" }, { "n": "/3303/0/5700" }]);
    let told = |code_msg: &str, code: &str| json!({ "reqPath": "/", "paths": paths, "code": code, "codeMsg": code_msg });
    let with = |mut data: Json, content: Json| {
        data["content"] = content;
        data
    };

    stage.command(&json!({ "reqID": 3, "msgType": "observe-composite", "data": { "paths": paths } }))?;
    let observe = stage.device.asked("FETCH with Observe")?;
    stage.is_composite(&observe, "0.05", &names)?;
    ensure!(option_uint(&observe, CoapOption::Observe) == Some(0), "{observe:?}");
    let mut answer = acknowledgement(&observe, "2.05");
    answer.set_observe_value(0);
    stage.send(answer, &json!([{ "n": "/3/0/9", "v": 90 }, { "n": "/3303/0/5700", "v": 20.5 }]))?;
    let content = json!([{ "path": "/3/0/9", "value": 90 }, { "path": "/3303/0/5700", "value": 20.5 }]);
    let data = with(told("content", "2.05"), content);
    stage.publishes("up/resp", &json!({ "reqID": 3, "msgType": "observe-composite", "data": data }))?;

    let mut notification = response(&observe, MessageType::Confirmable, "2.05", 700);
    notification.set_observe_value(7);
    stage.send(notification, &json!([{ "n": "/3303/0/5700", "v": 21.5 }]))?;
    stage.device.expect("acknowledgement", |packet| packet.header.message_id == 700)?;
    let data = with(told("content", "2.05"), json!([{ "path": "/3303/0/5700", "value": 21.5 }]));
    stage.publishes("up/notify", &json!({ "seqNum": 7, "reqID": 3, "msgType": "notify", "data": data }))?;

    stage
        .command(&json!({ "reqID": 4, "msgType": "cancel-observe-composite", "data": { "paths": paths } }))?;
    let cancel = stage.device.asked("FETCH with Observe 1")?;
    stage.is_composite(&cancel, "0.05", &names)?;
    ensure!(option_uint(&cancel, CoapOption::Observe) == Some(1), "{cancel:?}");
    ensure!(cancel.get_token() == observe.get_token(), "the observation is known by its token: {cancel:?}");
    stage.answer(&cancel, "2.05", &json!([{ "n": "/3/0/9", "v": 90 }]))?;
    let data = with(told("content", "2.05"), json!([{ "path": "/3/0/9", "value": 90 }]));
    stage.publishes("up/resp", &json!({ "reqID": 4, "msgType": "cancel-observe-composite", "data": data }))
}

#[test]
fn an_error_of_the_client_and_a_wrong_command_are_both_answered() -> Result<()> {
    let stage = Stage::set("fixed")?;
    stage.command(&json!({ "reqID": 5, "msgType": "read-composite", "data": { "paths": ["/3/0/0"] } }))?;
    let fetch = stage.device.asked("FETCH")?;
    stage.device.send(&acknowledgement(&fetch, "4.05"))?;
    let data =
        json!({ "reqPath": "/", "paths": ["/3/0/0"], "code": "4.05", "codeMsg": "method_not_allowed" });
    stage.publishes("up/resp", &json!({ "reqID": 5, "msgType": "read-composite", "data": data }))?;

    stage.command(&json!({ "reqID": 6, "msgType": "read-composite", "data": { "path": "/3/0/0" } }))?;
    let reason = "data.paths is missing, such as [\"/3/0/0\",\"/1\"]";
    let data = json!({ "reqPath": "/", "reason": reason, "code": "4.00", "codeMsg": "bad_request" });
    stage.publishes("up/resp", &json!({ "reqID": 6, "msgType": "read-composite", "data": data }))
}

#[test]
fn what_a_client_sends_unasked_is_published() -> Result<()> {
    let stage = Stage::set("fixed")?;
    let mut send = request("0.02", 800, b"send", "dp", &[]);
    send.add_option(CoapOption::ContentFormat, vec![110]);
    send.payload =
        br#"[{"bn":"/3303/0/","bt":1700000000,"n":"5700","v":21.5},{"n":"5701","vs":"Cel"}]"#.to_vec();
    let answer = stage.device.ask(&send)?;
    ensure!(code_text(&answer) == "2.04", "{answer:?}");
    let content = json!([
        { "path": "/3303/0/5700", "value": 21.5, "timestamp": 1_700_000_000_000_i64 },
        { "path": "/3303/0/5701", "value": "Cel", "timestamp": 1_700_000_000_000_i64 },
    ]);
    stage.publishes("up/notify", &json!({ "msgType": "send", "data": { "content": content } }))
}

#[test]
fn a_send_that_cannot_be_read_is_answered_so_and_costs_nothing_else() -> Result<()> {
    let stage = Stage::set("fixed")?;
    let cases = [(9_999, &b"x"[..], "4.15"), (110, b"[{\"n\":", "4.00"), (112, b"\x81\xff", "4.00")];
    let good = (110, &br#"[{"n":"/3303/0/5700","v":1}]"#[..], "2.04");
    for (mid, (format, payload, code)) in (800..).zip(cases.into_iter().chain([good])) {
        let mut send = request("0.02", mid, &mid.to_be_bytes(), "dp", &[]);
        send.add_option(CoapOption::ContentFormat, u16::to_be_bytes(format).to_vec());
        send.payload = payload.to_vec();
        let answer = stage.device.ask(&send)?;
        ensure!(code_text(&answer) == code, "{format}: {answer:?}");
    }
    // The first that is published is the good one.
    let content = json!([{ "path": "/3303/0/5700", "value": 1.0 }]);
    stage.publishes("up/notify", &json!({ "msgType": "send", "data": { "content": content } }))?;
    ensure!(stage.application.inbox().count(|message| message.topic == "up/notify") == 0);
    Ok(())
}

struct Stage {
    application: Application,
    device: Peer,
    is_fixed: bool,
    _gateway: Gateway,
}

impl Stage {
    /// A gateway with a registered client that is observed by nobody.
    fn set(compatibility: &str) -> Result<Self> {
        let mut setup = Setup::new(Broker::Embedded, compatibility);
        setup.settings["mountpoint"] = json!("");
        setup.settings["auto_observe"] = json!(false);
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect(gateway.mqtt(), MqttVersion::V5)?;
        let device = Peer::connect(gateway.coap())?;
        let queries = [format!("ep={ENDPOINT}"), "lwm2m=1.1".to_owned(), "lt=300".to_owned()];
        let mut register = request("0.02", 1, b"register", "rd", &queries.each_ref().map(String::as_str));
        register.add_option(CoapOption::ContentFormat, vec![40]);
        register.payload = b"</1/0>,</3/0>,</3303/0>".to_vec();
        let answer = device.ask(&register)?;
        ensure!(code_text(&answer) == "2.01", "{answer:?}");
        let stage = Self { application, device, is_fixed: compatibility == "fixed", _gateway: gateway };
        stage.application.of_type("register")?;
        Ok(stage)
    }

    fn command(&self, command: &Json) -> Result<()> {
        self.application.command(&format!("dn/{ENDPOINT}"), command)
    }

    /// In `fixed` it says whom it is from.
    fn publishes(&self, topic: &str, expected: &Json) -> Result<()> {
        let mut expected = expected.clone();
        if self.is_fixed {
            expected["ep"] = json!(ENDPOINT);
        }
        self.application.expect(topic, &expected).map(drop)
    }

    /// To the root, in SenML JSON both ways, of these names.
    fn is_composite(&self, asked: &Packet, code: &str, names: &Json) -> Result<()> {
        ensure!(code_text(asked) == code, "{asked:?}");
        ensure!(option_values(asked, CoapOption::UriPath).is_empty(), "{asked:?}");
        ensure!(option_uint(asked, CoapOption::ContentFormat) == Some(SENML_JSON), "{asked:?}");
        ensure!(option_uint(asked, CoapOption::Accept) == Some(SENML_JSON), "{asked:?}");
        let payload: Json = serde_json::from_slice(&asked.payload).context("JSON")?;
        ensure!(payload == *names, "{payload}");
        Ok(())
    }

    fn answer(&self, asked: &Packet, code: &str, records: &Json) -> Result<()> {
        self.send(acknowledgement(asked, code), records)
    }

    fn send(&self, mut message: Packet, records: &Json) -> Result<()> {
        message.add_option(CoapOption::ContentFormat, vec![110]);
        message.payload = records.to_string().into_bytes();
        self.device.send(&message)
    }
}

const ENDPOINT: &str = "composite";

const SENML_JSON: u64 = 110;
