pub fn command(_: &crate::args::Args) -> crate::Result<bool> {
    Err("later".into())
}
