//! The desk as an admin's browser sees it.

use super::{
    answer::{Answer, send},
    api::{ADMIN_TOKEN, Api},
};
use reqwest::{Method, RequestBuilder, header};

/// A session of the admin.
pub(crate) struct Desk<'a> {
    api: &'a Api,
    /// As the browser sends it: `sneakdrop_admin=…`.
    pub(crate) cookie: String,
    /// The cookie that tells that this browser has signed in before, in the same form.
    pub(crate) known: String,
}

impl<'a> Desk<'a> {
    pub(crate) async fn sign_in(api: &'a Api) -> Self {
        let answer = try_to_sign_in(api, ADMIN_TOKEN).await.expect_status(303);
        let mut cookies = answer.headers.get_all(header::SET_COOKIE).iter().map(|cookie| {
            let (cookie, _) = cookie.to_str().expect("text").split_once(';').expect("a cookie with attributes");
            cookie.to_owned()
        });
        let mut next = || cookies.next().expect("two cookies");
        let (cookie, known) = (next(), next());
        Self { api, cookie, known }
    }

    /// The same cookie, sent to another node.
    pub(crate) fn on(&self, api: &'a Api) -> Self {
        Self { api, cookie: self.cookie.clone(), known: self.known.clone() }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.api.request(method, path).header(header::COOKIE, &self.cookie)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// Submits a form.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        send(self.request(Method::POST, path).form(form)).await
    }
}

/// Submits the form of the sign-in page.
pub(crate) async fn try_to_sign_in(api: &Api, token: &str) -> Answer {
    send(api.request(Method::POST, "/admin/sign-in").form(&[("token", token)])).await
}
