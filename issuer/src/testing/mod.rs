//! For the tests of what you put in our place.

pub mod store_contract;
