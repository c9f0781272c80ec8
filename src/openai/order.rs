//! Lists put in order, in little code.

/// The entries of `list` by their keys; those of the same key stay as they stood. Meant for short
/// lists that are nearly in order already: a sort of the standard library is 7 KB of the module for
/// each type.
#[must_use]
pub fn ordered<T, K: Ord>(list: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut ordered: Vec<T> = Vec::with_capacity(list.len());
    for entry in list {
        let own = key(&entry);
        ordered.insert(ordered.partition_point(|other| key(other) <= own), entry);
    }
    ordered
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn entries_of_the_same_key_stay_as_they_stood() {
        let list = vec![(2, 'a'), (1, 'b'), (2, 'c'), (0, 'd'), (1, 'e')];
        let expected = [(0, 'd'), (1, 'b'), (1, 'e'), (2, 'a'), (2, 'c')];
        assert_eq!(ordered(list, |(key, _)| *key), expected);
        assert!(ordered(Vec::<u8>::new(), |key| *key).is_empty());
    }
}
