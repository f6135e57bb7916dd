//! The cases, natively; `tidegate plugin test` runs them in the gateway's engine.

use tidegate_senml::SenMl;

#[test]
fn the_cases_come_out_as_they_should() {
    tidegate_sdk::case::run::<SenMl>("cases");
}
