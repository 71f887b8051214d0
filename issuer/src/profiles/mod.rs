//! Tokens in the form of older frameworks, so that a service can stand beside one that is there already and share its
//! users' tokens, in both directions.
//!
//! | beside | use |
//! |---|---|
//! | Flask-JWT-Extended | [`FlaskJwtExtended`], [`require_fresh_token`] for `@jwt_required(fresh=True)`, and [`TokenCookies`] where tokens are in cookies |
//! | simplejwt, of the Django REST framework | [`SimpleJwt`] |
//!
//! They stand apart from [`TokenIssuer`](crate::TokenIssuer): nothing is kept, so nothing is rotated, and a session cannot
//! be ended as a whole. They are for the time in which both services are there; the guides in `docs/` show the way from
//! them to tokens that an issuer signs and everybody can check.

mod cookies;
mod double_submit;
mod flask_jwt_extended;
mod fresh;
mod guarded;
mod new_token;
mod shared;
mod simplejwt;

pub use self::{
    cookies::TokenCookies,
    double_submit::{DoubleSubmitLayer, DoubleSubmitService},
    flask_jwt_extended::FlaskJwtExtended,
    fresh::{FreshTokenLayer, FreshTokenService, is_fresh, require_fresh_token},
    guarded::{GuardedBody, GuardedFuture},
    new_token::{MintedToken, NewToken},
    simplejwt::SimpleJwt,
};
