//! The stock of a sale: names of its SKUs, and how the units are divided over them.

/// Name of a SKU by number.
pub(super) fn sku(number: u32) -> String {
    format!("poster-{}", number + 1)
}

/// Divides `units` over `skus` as evenly as possible; the first ones take the remainder.
pub(super) fn shares(units: u32, skus: u32) -> Vec<u32> {
    (0..skus).map(|key| units / skus + u32::from(key < units % skus)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_divided_without_a_remainder() {
        assert_eq!(shares(10, 3), [4, 3, 3]);
        assert_eq!(shares(1_000, 1), [1_000]);
    }
}
