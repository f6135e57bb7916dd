//! Under a service manager as systemd is one: it is told how the gateway stands, and may keep its sockets.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use coap_lite::MessageType;
use serde_json::json;
use tempfile::TempDir;
use tidegate_tests::{
    Application, Device, Mosquitto, MqttVersion, PATIENCE, Process, Value, free_port, skipped, tidegate,
};

#[test]
fn the_service_manager_hears_of_the_start_of_each_turn_of_the_shards_and_of_the_end() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let configuration = folder.path().join("tidegate.toml");
    let (coap, broker) = (free_port()?, free_port()?);
    fs::write(&configuration, configured(coap, broker))?;
    let mut command = tidegate()?;
    command.arg("run").arg("--config").arg(&configuration).env("NOTIFY_SOCKET", &path);
    let mut gateway = Process::start(command.env("WATCHDOG_USEC", "300000"))?;
    let next = || -> Result<String> {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).context("the gateway says nothing")?;
        Ok(String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned())
    };
    ensure!(next()? == "READY=1");
    for _ in 0..5 {
        ensure!(next()? == "WATCHDOG=1");
    }
    gateway.signal("HUP")?;
    let mut told = next()?;
    while told == "WATCHDOG=1" {
        told = next()?;
    }
    ensure!(told.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{told}");
    ensure!(next()? == "READY=1");
    ensure!(gateway.terminate()?.success());
    while told != "STOPPING=1" {
        told = next()?;
    }
    Ok(())
}

#[test]
fn what_comes_while_the_gateway_restarts_waits_in_a_socket_that_is_kept() -> Result<()> {
    if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        skipped("no python3 to keep a socket");
        return Ok(());
    }
    let broker = Mosquitto::start()?;
    let application = Application::connect(broker.port(), MqttVersion::V5)?;
    let folder = TempDir::new()?;
    let configuration = folder.path().join("tidegate.toml");
    let program = tidegate()?.get_program().to_owned();
    let mut keeper = Process::start(
        Command::new("python3").args(["-c", KEEPER]).arg(program).arg(&configuration).current_dir(&folder),
    )?;
    let port = keeper.said_before_end(&["port "])?.trim_start_matches("port ").parse()?;
    fs::write(&configuration, configured(port, broker.port()))?;
    keeper.tell("start")?;
    keeper.said_before_end(&["listening on the service manager's socket"])?;
    keeper.said_before_end(&["ready", "coap="])?;
    let mut device = Device::new(([127, 0, 0, 1], port).into(), "sensor")?;
    device.register()?;
    let observe = json!({ "reqID": 1, "msgType": "observe", "data": { "path": "/3/0/9" } });
    application.command("dn/sensor", &observe)?;
    application.take("observation", |message| message.json().is_some_and(|json| json["reqID"] == 1))?;
    // Its registration is answered when it is on the disk, and with it what came before.
    Device::new(([127, 0, 0, 1], port).into(), "last")?.register()?;
    keeper.tell("kill")?;
    keeper.said(&["killed"])?;
    // Said once: a gateway that did not hear of it would not hear of it later.
    device.set("/3/0/9", Value::Integer(42))?;
    let notification = device.notify("/3/0/9", MessageType::Confirmable)?;
    keeper.forget();
    keeper.tell("start")?;
    keeper.said_before_end(&["ready", "coap="])?;
    application.of_type("notify")?;
    device.acknowledged(&notification)?;
    Ok(())
}

fn configured(coap: u16, broker: u16) -> String {
    let broker = format!("mqtt://127.0.0.1:{broker}");
    format!(
        "coap.listen = [\"127.0.0.1:{coap}\"]\ncoap.shards = 1\nmqtt.broker = {}\nhttp.listen = []\n",
        json!(broker)
    )
}

/// Opens a socket, and starts the gateway with it as descriptor 3, as often as it is told.
const KEEPER: &str = r#"
import ctypes, os, signal, socket, sys
keep = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
keep.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
keep.bind(("127.0.0.1", 0))
print("port", keep.getsockname()[1], flush=True)
for line in sys.stdin:
    if line.strip() == "start":
        child = os.fork()
        if child == 0:
            # It must not outlive this program, however that ends (PR_SET_PDEATHSIG).
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
            os.dup2(keep.fileno(), 3)
            os.set_inheritable(3, True)
            os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
            os.execv(sys.argv[1], [sys.argv[1], "run", "--config", sys.argv[2]])
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print("killed", flush=True)
"#;
