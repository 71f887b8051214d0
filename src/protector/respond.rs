//! What goes back to the client: the service's response, or a refusal in its final form.

use http::{Extensions, HeaderMap, Response};

use super::{
    admit::{Entered, Policy},
    body::RefusalBody,
    cache_control,
};
use crate::{
    audit,
    rejection::{Form, Rejection},
    require::{Demands, add_demand},
    token::CurrentToken,
};

/// What is needed of a request when the answer to it comes.
#[derive(Debug, Default)]
pub(super) struct Answering {
    /// The token, if it will be needed to say what the protector demands beside an inner refusal.
    token: Option<CurrentToken>,
    /// The token stood where shared caches do not notice it.
    private: bool,
}

impl Answering {
    pub(super) fn of(entered: &Entered, policy: &Policy) -> Self {
        match entered {
            Entered::With(token, place) => Self {
                token: policy.requirement.as_ref().map(|_| token.clone()),
                private: !place.is_known_to_caches(),
            },
            Entered::Without(_) => Self::default(),
        }
    }
}

impl Policy {
    /// Renders a refusal of the protector itself.
    pub(super) fn refuse<B>(&self, rejection: Rejection, form: Form) -> Response<RefusalBody<B>> {
        if self.is_guard {
            return rejection.by_itself(form);
        }
        let mut response = rejection.into_final_response(form, &self.challenge, self.replace.as_deref());
        self.vary(response.headers_mut());
        response
    }

    /// Passes a response on, completing the refusal it may be.
    pub(super) fn pass_on<B>(
        &self,
        mut response: Response<B>,
        form: Form,
        answering: &Answering,
    ) -> Response<RefusalBody<B>> {
        let token = answering.token.as_ref();
        if self.is_guard {
            add_demand(response.extensions_mut(), || self.demanded(token));
            return response.map(RefusalBody::inner);
        }
        self.vary(response.headers_mut());
        let mut response = match passing_refusal(response.extensions_mut(), || self.demanded(token)) {
            None => response.map(RefusalBody::inner),
            Some(mut rejection) => {
                audit::refused(&mut rejection, None, token);
                rejection.complete(response, form, &self.challenge, self.replace.as_deref())
            }
        };
        if answering.private {
            cache_control::make_private(response.headers_mut());
        }
        response
    }

    /// Where there is an answer with and one without credentials, caches must know what it depends on.
    fn vary(&self, headers: &mut HeaderMap) {
        if self.optional {
            self.places.vary(headers);
        }
    }
}

/// A refusal that a guard or a handler made and no protector has completed yet.
fn passing_refusal(extensions: &mut Extensions, demanded: impl FnOnce() -> Demands) -> Option<Rejection> {
    if extensions.get::<Rejection>().is_none_or(Rejection::is_rendered) {
        return None;
    }
    add_demand(extensions, demanded);
    extensions.remove()
}
