//! The cases of the OMA enabler test specification: what each asks of the server. Functions begin with the number of
//! the case, `int` for LightweightM2M-*-int.

mod format;
mod information;
mod management;
mod object;
mod registration;
