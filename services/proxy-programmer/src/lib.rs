//! proxy-programmer
