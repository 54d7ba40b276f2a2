//! The page: files that are in the program, and what they may do in a browser.

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// A file of the page: where it is served, of which kind it is, and its text.
struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($folder:literal $name:literal $kind:literal;)*) => {
        &[$(File {
            path: concat!("/page/", $name),
            kind: $kind,
            text: include_str!(concat!("page/", $folder, $name)),
        }),*]
    };
}

const INDEX: &str = include_str!("page/index.html");

const FILES: &[File] = files! {
    "" "chart.js" "text/javascript; charset=utf-8";
    "" "icon.svg" "image/svg+xml";
    "" "json.js" "text/javascript; charset=utf-8";
    "" "page.css" "text/css; charset=utf-8";
    "" "page.js" "text/javascript; charset=utf-8";
    "" "panels.js" "text/javascript; charset=utf-8";
    "" "search.js" "text/javascript; charset=utf-8";
    "" "server.js" "text/javascript; charset=utf-8";
    "" "show.js" "text/javascript; charset=utf-8";
    "" "values.js" "text/javascript; charset=utf-8";
    "uplot/" "uPlot.iife.min.js" "text/javascript; charset=utf-8";
    "uplot/" "uPlot.min.css" "text/css; charset=utf-8";
};

/// Nothing but files of this server is loaded, asked or run, whatever stands in keys and values.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whether a browser wants to show something, rather than a program to read it.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    let mut kinds = accepted.flat_map(|value| value.split(','));
    kinds.any(|kind| kind.split(';').next().unwrap_or_default().trim() == "text/html")
}

/// The page itself.
pub(super) fn index() -> Response {
    file("text/html; charset=utf-8", INDEX)
}

/// Where the page's files are.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |routes, own| {
        routes.route(own.path, get(async || file(own.kind, own.text)))
    })
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // A newer program has other files under the same names.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_want_the_page_and_programs_do_not() {
        let wanted = |accept: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(header::ACCEPT, value.parse().unwrap());
            }
            is_wanted(&headers)
        };
        assert!(wanted(&["text/html,application/xhtml+xml,*/*;q=0.8"]));
        assert!(wanted(&["application/json", "text/html;q=0.5"]));
        for other in ["*/*", "application/json", "text/htmlx", ""] {
            assert!(!wanted(&[other]), "{other}");
        }
        assert!(!wanted(&[]));
    }

    /// What the page loads is there, and it loads nothing else.
    #[test]
    fn all_files_of_the_page_are_served() {
        let named = |text: &'static str, before: &'static str| {
            let found = text.split(before).skip(1);
            found.map(|rest| rest.split(['"', '\'']).next().unwrap())
        };
        let mut loaded: Vec<String> = Vec::new();
        for before in ["href=\"page/", "src=\"page/"] {
            loaded.extend(named(INDEX, before).map(|name| format!("/page/{name}")));
        }
        for own in FILES {
            loaded.extend(named(own.text, "from './").map(|name| format!("/page/{name}")));
        }
        loaded.sort();
        loaded.dedup();
        let mut served: Vec<&str> = FILES.iter().map(|own| own.path).collect();
        served.sort_unstable();
        assert_eq!(loaded, served);
        for inline in ["<script>", "<style", " style=", " onclick=", " onload="] {
            assert!(!INDEX.contains(inline), "{inline}");
        }
    }
}
