//! What goes back to the client: the service's response, or a refusal in its final form.

use http::{Extensions, HeaderMap, HeaderValue, Response, header};

use super::{admit::Policy, body::RefusalBody};
use crate::{
    audit,
    rejection::{Form, Rejection},
    require::add_demand,
    scope::Scope,
    token::CurrentToken,
};

impl Policy {
    /// Renders a refusal of the protector itself.
    pub(crate) fn refuse<B>(&self, rejection: Rejection, form: Form) -> Response<RefusalBody<B>> {
        let mut response = rejection.into_final_response(form, &self.challenge, self.replace.as_deref());
        self.vary(response.headers_mut());
        response
    }

    /// Passes a response on, completing the refusal it may be.
    pub(crate) fn pass_on<B>(
        &self,
        mut response: Response<B>,
        form: Form,
        token: Option<&CurrentToken>,
    ) -> Response<RefusalBody<B>> {
        self.vary(response.headers_mut());
        match passing_refusal(response.extensions_mut(), || self.demanded(token)) {
            None => response.map(RefusalBody::inner),
            Some(mut rejection) => {
                audit::refused(&mut rejection, None, token);
                rejection.complete(response, form, &self.challenge, self.replace.as_deref())
            }
        }
    }

    /// Where there is an answer with and one without credentials, caches must know what it depends on.
    fn vary(&self, headers: &mut HeaderMap) {
        if self.optional {
            headers.append(header::VARY, HeaderValue::from_static("authorization"));
        }
    }
}

/// A refusal that a guard or a handler made and no protector has completed yet.
fn passing_refusal(extensions: &mut Extensions, demanded: impl FnOnce() -> Vec<Scope>) -> Option<Rejection> {
    if extensions.get::<Rejection>().is_none_or(Rejection::is_rendered) {
        return None;
    }
    add_demand(extensions, demanded);
    extensions.remove()
}
