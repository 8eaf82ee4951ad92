//! What a history is checked against. To be written below.
