use super::*;

mod first;
