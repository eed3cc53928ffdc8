//! The answer to an HTTP request, and what tests expect of it.

use reqwest::{RequestBuilder, header::HeaderMap};
use serde_json::Value;

/// An HTTP response whose body has been read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// The body, or null if it is not JSON.
    pub(crate) json: Value,
}

/// Sends a request and reads the whole response.
pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the server answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.expect("the body is complete");
    let json = serde_json::from_str(&text).unwrap_or_default();
    Answer { status, headers, text, json }
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Asserts the status, the code and the form that all errors have.
    #[track_caller]
    pub(crate) fn expect_error(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.text);
        assert!(self.json["error"].as_str().is_some_and(|error| !error.is_empty()), "{}", self.text);
        self
    }

    /// The code of an error, or an empty string.
    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    /// The value of a header, or an empty string.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn reservation_id(&self) -> i64 {
        id_of(&self.json["reservation"])
    }

    pub(crate) fn purchase_id(&self) -> i64 {
        id_of(&self.json["purchase"])
    }
}

/// The `id` of a JSON object.
#[track_caller]
pub(crate) fn id_of(value: &Value) -> i64 {
    value["id"].as_i64().unwrap_or_else(|| panic!("{value} has no id"))
}

/// How many of the answers have this status.
pub(crate) fn count_status(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}
