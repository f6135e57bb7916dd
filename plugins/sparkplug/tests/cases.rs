//! The cases, natively; `tidegate plugin test` runs them in the gateway's engine. Their payloads are made by Google's protobuf
//! (`vectors.py`).

use tidegate_sparkplug::Sparkplug;

#[test]
fn the_cases_come_out_as_they_should() {
    tidegate_sdk::case::run_stateful::<Sparkplug>("cases");
}
