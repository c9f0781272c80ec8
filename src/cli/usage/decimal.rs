//! Amounts of money from decimal text, exactly.

use crate::providers::catalogue::NanoUsd;

/// Decimals of a US dollar that an amount can have.
const DECIMALS: i32 = 9;

/// Most digits and most of an exponent that are looked at: more is no amount of money.
const MAX_DIGITS: usize = 38;
const MAX_EXPONENT: i32 = 99;

/// The amount that a JSON number of US dollars stands for. Nothing passes through a float.
///
/// None for what is negative, is finer than a nano-dollar, does not fit, or is no JSON number.
pub fn nano_usd(text: &[u8]) -> Option<NanoUsd> {
    let (whole, rest) = digits(text);
    if whole.is_empty() || whole.len() > 1 && whole.first() == Some(&b'0') {
        return None;
    }
    let (fraction, rest) = match rest.split_first() {
        Some((b'.', rest)) => {
            let (fraction, rest) = digits(rest);
            if fraction.is_empty() {
                return None;
            }
            (fraction, rest)
        }
        _ => (&[][..], rest),
    };
    let mut scale = DECIMALS - i32::try_from(fraction.len()).ok()?;
    match rest.split_first() {
        None => {}
        Some((b'e' | b'E', exponent)) => scale = scale.checked_add(read_exponent(exponent)?)?,
        Some(_) => return None,
    }
    let all = || whole.iter().chain(fraction).copied();
    if all().skip_while(|digit| *digit == b'0').count() > MAX_DIGITS {
        return None;
    }
    let mut amount = all().try_fold(0_u128, |amount, digit| {
        amount.checked_mul(10)?.checked_add(u128::from(digit - b'0'))
    })?;
    while amount > 0 && scale > 0 {
        amount = amount.checked_mul(10)?;
        scale -= 1;
    }
    while amount > 0 && scale < 0 {
        if amount % 10 != 0 {
            return None;
        }
        amount /= 10;
        scale += 1;
    }
    u64::try_from(amount).ok().map(NanoUsd)
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at_checked(length).unwrap_or_default()
}

fn read_exponent(text: &[u8]) -> Option<i32> {
    let (negative, text) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    let (number, rest) = digits(text);
    if number.is_empty() || !rest.is_empty() {
        return None;
    }
    let exponent = number.iter().try_fold(0_i32, |exponent, digit| {
        let exponent = exponent * 10 + i32::from(digit - b'0');
        (exponent <= MAX_EXPONENT).then_some(exponent)
    })?;
    Some(if negative { -exponent } else { exponent })
}

/// Sums in US dollars with at least two and at most nine decimals.
pub fn usd(nanos: u128, decimals: usize) -> String {
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    let cut = 9_usize.saturating_sub(decimals.clamp(2, 9));
    text.get(..text.len() - cut).unwrap_or_default().to_owned()
}

/// With how few decimals the amount can be written exactly.
pub const fn decimals(nanos: u128) -> usize {
    let (mut rest, mut count) = (nanos % 1_000_000_000, 9);
    while count > 2 && rest % 10 == 0 {
        rest /= 10;
        count -= 1;
    }
    count
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn nano(text: &str) -> Option<u64> {
        nano_usd(text.as_bytes()).map(|amount| amount.0)
    }

    #[test]
    fn every_decimal_is_kept() {
        assert_eq!(nano("0.002500000"), Some(2_500_000));
        assert_eq!(nano("0"), Some(0));
        assert_eq!(nano("12"), Some(12_000_000_000));
        assert_eq!(nano("0.000000001"), Some(1));
        assert_eq!(nano("0.1000000000000"), Some(100_000_000));
        assert_eq!(nano("18446744073.709551615"), Some(u64::MAX));
        // As a float it would be 8999999999.123457.
        assert_eq!(nano("8999999999.123456789"), Some(8_999_999_999_123_456_789));
        for amount in [0, 1, 999_999_999, 1_000_000_000, 123_456_789_012, u64::MAX] {
            assert_eq!(nano(&NanoUsd(amount).to_string()), Some(amount));
        }
    }

    #[test]
    fn powers_of_ten_are_exact_too() {
        assert_eq!(nano("1e-9"), Some(1));
        assert_eq!(nano("2.5E-5"), Some(25_000));
        assert_eq!(nano("1.5e+3"), Some(1_500_000_000_000));
        assert_eq!(nano("10e-10"), Some(1));
        assert_eq!(nano("0e99"), Some(0));
        assert_eq!(nano("0.0e-99"), Some(0));
    }

    #[test]
    fn what_is_no_exact_amount_is_refused() {
        for wrong in [
            "",
            "-1",
            "-0.1",
            "+1",
            ".5",
            "1.",
            "01",
            "1e",
            "1e+",
            "1e5x",
            "1,5",
            "0x10",
            "NaN",
            "1e-10",
            "0.0000000001",
            "15e-10",
            "18446744073.709551616",
            "1e100",
            "1e999999999999",
            "99999999999999999999999999999999999999999999",
        ] {
            assert_eq!(nano(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_amount_is_written_with_as_many_decimals_as_it_needs() {
        assert_eq!(usd(2_500_000, decimals(2_500_000)), "0.0025");
        assert_eq!(usd(2_500_000, 9), "0.002500000");
        assert_eq!(usd(0, decimals(0)), "0.00");
        assert_eq!(usd(1_000_000_001, decimals(1_000_000_001)), "1.000000001");
        assert_eq!(usd(12_500_000_000, decimals(12_500_000_000)), "12.50");
    }
}
