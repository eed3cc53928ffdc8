//! A browser: it keeps cookies, calls server functions and submits forms.

use super::{
    answer::{Answer, send},
    api::{Api, build_client},
};
use reqwest::{Client, RequestBuilder, header};

pub(crate) struct Browser<'a> {
    api: &'a Api,
    http: Client,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(api: &'a Api) -> Self {
        Self { api, http: build_client(Client::builder().cookie_store(true)) }
    }

    /// Calls a server function as the page's WebAssembly does.
    pub(crate) async fn call(&self, function: &str, form: &str) -> Answer {
        send(self.request(function, form).header(header::ACCEPT, "application/json")).await
    }

    /// Submits a form of a page as a browser without WebAssembly does.
    pub(crate) async fn submit(&self, function: &str, form: &str, page_url: &str) -> Answer {
        let request = self.request(function, form).header(header::ACCEPT, "text/html,application/xhtml+xml");
        send(request.header(header::REFERER, page_url)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.http.get(self.api.url(path))).await
    }

    fn request(&self, function: &str, form: &str) -> RequestBuilder {
        let request = self.http.post(self.api.url(&format!("/rpc/{function}")));
        request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.to_owned())
    }
}
