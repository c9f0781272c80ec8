//! The page that draws the status.

/// The page at `/waypost/`. It asks `/waypost/status` every two seconds and draws what it gets;
/// nothing else is loaded, and what the JSON says becomes text on it, never markup.
pub const PAGE: &str = include_str!("page.html");

/// What the page may do, as its `content-security-policy`: run what stands in it, and ask whom it
/// came from.
pub const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Longest page, in bytes: it stands in the module of every worker.
#[cfg(test)]
const MAX_PAGE_BYTES: usize = 14 << 10;

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_page_is_small_and_loads_nothing() {
        assert!(PAGE.len() < MAX_PAGE_BYTES, "{} bytes", PAGE.len());
        // The one address in it is the name of SVG's namespace, which nobody asks for.
        assert_eq!(PAGE.matches("://").count(), 1);
        assert!(PAGE.contains("\"http://www.w3.org/2000/svg\""));
        for loads in ["<script src", "<link rel=\"stylesheet", "@import", "url(", "import("] {
            assert!(!PAGE.contains(loads), "{loads}");
        }
    }

    #[test]
    fn the_page_makes_no_markup_of_what_it_is_told() {
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!PAGE.contains(markup), "{markup}");
        }
    }
}
