//! The cases, natively; `tidegate plugin test` runs them in the gateway's engine.

use tidegate_vendor_opaque::VendorOpaque;

#[test]
fn the_cases_come_out_as_they_should() {
    tidegate_sdk::case::run::<VendorOpaque>("cases");
}
