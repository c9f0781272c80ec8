//! In which form the output is wanted.

/// A form of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For spreadsheets.
    Csv,
    /// For programs.
    Json,
}

/// What the output can show.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Columns of the chart.
    pub width: usize,
    /// Whether it has colours.
    pub color: bool,
}
