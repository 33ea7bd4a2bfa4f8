//! Numbers as ms_print writes them.

/// `1234567` → `1,234,567`.
pub(super) fn grouped(number: u64, text: &mut Vec<u8>) {
    // 20 digits and 6 commas are the most.
    let mut reversed = [0_u8; 26];
    let mut length = 0;
    let mut rest = number;
    let mut digits = 0;
    loop {
        if digits > 0 && digits % 3 == 0 {
            if let Some(place) = reversed.get_mut(length) {
                *place = b',';
            }
            length += 1;
        }
        if let Some(place) = reversed.get_mut(length) {
            *place = b'0' + (rest % 10) as u8;
        }
        length += 1;
        digits += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    text.extend(reversed.iter().take(length).rev());
}

/// As `%05.2f`. The usual case is computed in integers; what lies so near to the middle between two hundredths that
/// the product could round to the wrong side is left to the exact formatter.
pub(super) fn percent(share: f64, text: &mut Vec<u8>) {
    let hundredths = share * 100.0;
    let below = hundredths.floor();
    let fraction = hundredths - below;
    if !(0.0..1e12).contains(&hundredths) || (fraction - 0.5).abs() < 1e-3 {
        text.extend_from_slice(format!("{share:05.2}").as_bytes());
        return;
    }
    let rounded = below as u64 + u64::from(fraction > 0.5);
    let whole = rounded / 100;
    if whole < 10 {
        text.push(b'0');
        text.push(b'0' + whole as u8);
    } else {
        text.extend_from_slice(whole.to_string().as_bytes());
    }
    text.push(b'.');
    text.push(b'0' + (rounded / 10 % 10) as u8);
    text.push(b'0' + (rounded % 10) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        write(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        let pairs = [
            (0, "0"),
            (7, "7"),
            (999, "999"),
            (1000, "1,000"),
            (65_536, "65,536"),
            (1_000_000, "1,000,000"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ];
        for (number, expected) in pairs {
            assert_eq!(written(|text| grouped(number, text)), expected);
        }
    }

    proptest! {
        #[test]
        fn percents_are_rounded_as_printf_does(part in 0_u64..1 << 40, total in 1_u64..1 << 40) {
            let share = (part.min(total) * 100) as f64 / total as f64;
            prop_assert_eq!(written(|text| percent(share, text)), format!("{share:05.2}"));
        }

        #[test]
        fn ties_are_rounded_as_printf_does(hundredths in 0_u64..10_000, total in 1_u64..100) {
            let share = (hundredths * 2 + 1) as f64 / 200.0 / total as f64;
            prop_assert_eq!(written(|text| percent(share, text)), format!("{share:05.2}"));
        }
    }
}
