//! The authorization endpoint, as far as it needs nobody else: what a request says, and what comes next (RFC 6749, section
//! 4.1.1; RFC 7636; RFC 8707; RFC 9207; RFC 9700).

mod answer;
mod client;
mod parameters;
mod request;
mod step;

pub(super) use self::{
    answer::{Answer, ErrorCode},
    client::Asking,
    parameters::Parameters,
    request::{AsksFor, AuthorizationRequest, Refused, judge},
    step::{Step, next_step},
};
