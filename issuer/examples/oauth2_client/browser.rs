//! What a person does in a browser, so that the example runs without one. No client does this: it opens the page, and waits for
//! the browser to come back.

use std::{collections::BTreeMap, error::Error};

use form_urlencoded::Serializer;
use reqwest::{
    Client, Response,
    header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE},
};

/// What the browser brings to the client.
pub(crate) struct Back {
    pub(crate) code: String,
    pub(crate) state: String,
}

/// Opens the page, logs in, and allows the client what it asks for.
pub(crate) async fn log_in_and_allow(
    http: &Client,
    page: &str,
    username: &str,
    password: &str,
) -> Result<Back, Box<dyn Error>> {
    let mut browser = Browser {
        http: http.clone(),
        cookies: BTreeMap::new(),
    };
    let proof = browser.open(page).await?;
    let form = [
        ("form", "login"),
        ("proof", &proof),
        ("username", username),
        ("password", password),
    ];
    let next = browser.submit(page, &form).await?;
    let page = reqwest::Url::parse(page)?.join(&next)?;
    let proof = browser.open(page.as_str()).await?;
    let form = [("form", "consent"), ("proof", &proof), ("decision", "allow")];
    let callback = browser.submit(page.as_str(), &form).await?;

    let callback = reqwest::Url::parse(&callback)?;
    let parameters: BTreeMap<_, _> = callback.query_pairs().into_owned().collect();
    let parameter = |name| parameters.get(name).cloned().ok_or("the client gets no code");
    Ok(Back {
        code: parameter("code")?,
        state: parameter("state")?,
    })
}

struct Browser {
    http: Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Opens a page, and says what its form proves that it came from.
    async fn open(&mut self, url: &str) -> Result<String, Box<dyn Error>> {
        let page = self.http.get(url).header(COOKIE, self.cookies()).send().await?;
        self.keep_cookies(&page);
        let page = page.error_for_status()?.text().await?;
        let (_, proof) = page
            .split_once(r#"name="proof" value=""#)
            .ok_or("a page without a form")?;
        Ok(proof.split('"').next().unwrap_or_default().to_owned())
    }

    /// Sends the form of a page, and says where that leads.
    async fn submit(&mut self, url: &str, form: &[(&str, &str)]) -> Result<String, Box<dyn Error>> {
        let request = self.http.post(url).header(COOKIE, self.cookies());
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = Serializer::new(String::new()).extend_pairs(form).finish();
        let answer = request.body(body).send().await?;
        self.keep_cookies(&answer);
        let location = answer.headers().get(LOCATION).ok_or("the form is refused")?;
        Ok(location.to_str()?.to_owned())
    }

    fn cookies(&self) -> String {
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    fn keep_cookies(&mut self, response: &Response) {
        for line in response.headers().get_all(SET_COOKIE) {
            let pair = line.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}
