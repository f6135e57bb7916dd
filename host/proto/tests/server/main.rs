//! The LwM2M server in simulated time, with scripted clients and a network in memory.

mod addresses;
mod allocating;
mod association;
mod crashing;
mod disk;
mod downlink;
mod handover;
mod hostile;
mod identity;
mod large;
mod lossy;
mod negotiating;
mod observing;
mod registering;
mod restarting;
mod sim;
