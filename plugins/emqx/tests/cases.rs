//! The cases, natively; `tidegate plugin test` runs them in the gateway's engine.

use tidegate_emqx::Emqx;

#[test]
fn the_cases_come_out_as_they_should() {
    tidegate_sdk::case::run::<Emqx>("cases");
}
