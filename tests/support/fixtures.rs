//! The files under `tests/golden`, read from there or, in V8, compiled in.

use std::collections::BTreeMap;

/// The bytes of each file by its path below `tests/golden`.
pub type Files = BTreeMap<String, Vec<u8>>;

/// All fixtures.
#[cfg(not(target_arch = "wasm32"))]
pub fn files() -> Files {
    fn read(folder: &std::path::Path, below: &str, files: &mut Files) {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            if path.is_dir() {
                read(&path, &format!("{below}{name}/"), files);
            } else if let Ok(bytes) = std::fs::read(&path) {
                files.insert(format!("{below}{name}"), bytes);
            }
        }
    }
    let mut files = Files::new();
    read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), "", &mut files);
    files
}

/// All fixtures.
#[cfg(target_arch = "wasm32")]
pub fn files() -> Files {
    fn read(folder: &include_dir::Dir<'_>, files: &mut Files) {
        for file in folder.files() {
            files.insert(file.path().to_string_lossy().into_owned(), file.contents().to_vec());
        }
        for folder in folder.dirs() {
            read(folder, files);
        }
    }
    let mut files = Files::new();
    read(&include_dir::include_dir!("$CARGO_MANIFEST_DIR/tests/golden"), &mut files);
    files
}
