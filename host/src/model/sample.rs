//! Definitions for the tests of this module.

/// An object in a version, whose resource 1 is of this type.
pub(crate) fn definition(object: u16, version: &str, kind: &str) -> String {
    format!(
        "<LWM2M><Object ObjectType=\"MODefinition\"><Name>Thing</Name>\n<ObjectID>{object}</ObjectID>\
         <ObjectVersion>{version}</ObjectVersion><MultipleInstances>Single</MultipleInstances>\n\
         <Mandatory>Optional</Mandatory><Resources><Item ID=\"1\"><Name>Part</Name><Operations>R</Operations>\
         <MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory>\n\
         <Type>{kind}</Type><Units></Units></Item></Resources></Object></LWM2M>"
    )
}
