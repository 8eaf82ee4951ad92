//! How the engine is built, and why: a chapter a protocol, its terms, orderings, and what a crash can leave.
//! No code.
//!
//! [`house`] is the first: the whole on one screen, and where a new thing goes. [`where_time_goes`] says what each step
//! costs, [`growth`] how costs grow, and [`tuning`] what to choose for which machine and sale.

/// Where the chapters' links to each other lead. The pages themselves link to files, for readers of the
/// repository; the first definition of a link counts, so these come before a page.
macro_rules! links {
    () => {
        "\
[house]: crate::design::house
[contract]: crate::design::contract
[counters]: crate::design::counters
[take]: crate::design::take
[holds]: crate::design::holds
[op keys]: crate::design::op_keys
[time]: crate::design::time
[log]: crate::design::log
[checkpoints]: crate::design::checkpoints
[retention]: crate::design::retention
[recovery]: crate::design::recovery
[formats]: crate::design::formats
[orderings]: crate::design::orderings
[where time goes]: crate::design::where_time_goes
[growth]: crate::design::growth
[tuning]: crate::design::tuning

"
    };
}

macro_rules! chapter {
    ($name:ident) => {
        #[doc = links!()]
        #[doc = include_str!(concat!("design/", stringify!($name), ".md"))]
        pub mod $name {}
    };
}

chapter!(house);
chapter!(contract);
chapter!(counters);
chapter!(take);
chapter!(holds);
chapter!(op_keys);
chapter!(time);
chapter!(log);
chapter!(checkpoints);
chapter!(retention);
chapter!(recovery);
chapter!(formats);
chapter!(orderings);

pub mod where_time_goes {
    #![doc = include_str!("design/where_time_goes.md")]
}

pub mod growth {
    #![doc = include_str!("design/growth.md")]
    #![doc = include_str!("design/growth.svg")]
}

pub mod tuning {
    #![doc = include_str!("design/tuning.md")]
}
