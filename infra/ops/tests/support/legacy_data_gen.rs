//! Generates old data: most users are regular, and some have the irregularities that a table
//! without constraints permits. The same seed gives the same data.

use proptest::{
    prelude::Rng,
    test_runner::{RngAlgorithm, TestRng},
};
use scrip::domain::Timestamp;
use scrip_ops::plan::{OldRow, ReferenceOwner};
use tokio_postgres::Client;
use uuid::Builder;

use super::legacy_tables::{OldUser, Row, load_users};

/// 2026-01-01, later than all rows.
pub const NOW: i64 = 1_767_225_600_000;
/// In milliseconds.
pub const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Limit of rows of a user, except for the largest one.
const USER_ROWS_MAX: i64 = 1_000;

/// The size and seed of the generated data.
#[derive(Clone, Copy, Debug)]
pub struct LegacyData {
    /// Seed of the random generator.
    pub seed: u64,
    /// Number of users, some without a name.
    pub users: u64,
    /// Rows of the first user.
    pub largest: usize,
}

impl LegacyData {
    /// Generates all users.
    pub fn users(self) -> impl Iterator<Item = OldUser> {
        (0..self.users).map(move |number| {
            let mut generator = UserGenerator::new(self.seed, number);
            if number == 0 {
                generator.generate_large_user(self.largest)
            } else {
                generator.generate_user()
            }
            generator.output
        })
    }

    /// Creates and fills the tables.
    pub async fn load(self, client: &Client) {
        load_users(client, self.users()).await;
    }
}

/// Generates the rows of a user in the order of time.
struct UserGenerator {
    rng: TestRng,
    number: u64,
    user: Option<String>,
    /// Creation of the last row, in milliseconds since 1970.
    at: i64,
    packs: Vec<Pack>,
    output: OldUser,
}

#[derive(Clone, Debug)]
struct Pack {
    order_no: String,
    expired_at: Option<i64>,
    remaining: i64,
}

/// The content of a charge's `order_no`, which depends on the code that wrote it.
#[derive(Clone, Copy)]
enum OrderNoStyle {
    Generation,
    OrderOfPack,
    Empty,
    Null,
}

const ORDER_NO_STYLES: [OrderNoStyle; 6] = [
    OrderNoStyle::Generation,
    OrderNoStyle::Generation,
    OrderNoStyle::Generation,
    OrderNoStyle::OrderOfPack,
    OrderNoStyle::Empty,
    OrderNoStyle::Null,
];
const CHARGES: [&str; 4] = ["anime_generation", "image_generation", "video_generation", "chat"];

/// An `order_no` and its owner among orders and among generations.
type Reference = (Option<String>, ReferenceOwner, ReferenceOwner);

const NO_REFERENCE: Reference = (None, ReferenceOwner::Missing, ReferenceOwner::Missing);

impl UserGenerator {
    fn new(seed: u64, number: u64) -> UserGenerator {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let at = NOW - 700 * DAY + i64::from(rng.next_u32() % 400) * DAY;
        let mut generator =
            UserGenerator { rng, number, user: None, at, packs: vec![], output: OldUser::default() };
        generator.user = generator.user_name();
        // Other users may refer to these. Some exist twice.
        for _ in 0..=generator.below(3) / 2 {
            generator.output.orders.push((order(number, 0), generator.user.clone()));
            generator.output.generations.push((format!("gen-{number}-0"), generator.user.clone()));
        }
        generator
    }

    fn generate_large_user(&mut self, rows: usize) {
        self.user = Some("many".to_owned());
        self.grant("order_pay", 1_000_000_000, None);
        self.at = NOW - 500 * DAY;
        while self.output.rows.len() < rows {
            self.charge(OrderNoStyle::Generation, 1);
        }
    }

    fn generate_user(&mut self) {
        self.grant("new_user", 10, None);
        for _ in 0..=self.below(8) {
            self.regular_row();
        }
        if self.below(4) == 0 && !self.is_unnamed() {
            self.irregular_row();
            self.regular_row();
        }
    }

    fn regular_row(&mut self) {
        if self.is_unnamed() {
            return self.row("chat", -1, NO_REFERENCE, None);
        }
        match self.below(10) {
            0..3 => {
                let (credits, days) = (10 * (1 + self.below(10)), 20 + self.below(400));
                let expiry = [None, Some(self.at + days * DAY + 86_399_999)][usize::from(self.below(5) > 0)];
                self.grant("order_pay", credits, expiry);
            }
            3 => self.grant("system_add", 5, None),
            4 => self.charge_and_refund(1),
            // Takes the rest of one pack and one credit of the next.
            5 => {
                let style = self.style();
                let rest = self.usable_packs().next().map_or(0, |pack| pack.remaining);
                self.charge(style, rest + 1);
            }
            _ => {
                let (style, credits) = (self.style(), 1 + self.below(6));
                self.charge(style, credits);
            }
        }
    }

    fn irregular_row(&mut self) {
        let of_previous_user =
            |kind: &str, generator: &UserGenerator| format!("{kind}-{}-0", generator.number - 1);
        match self.below(16) {
            // A repeated webhook.
            0 => {
                let order =
                    self.output.rows.iter().rfind(|row| row.expected.trans_type == "order_pay").cloned();
                if let Some(Row { expected, .. }) = order {
                    let expiry = expected.expired_at.map(Timestamp::millis);
                    self.row(
                        "order_pay",
                        expected.credits,
                        (expected.order_no, ReferenceOwner::SameUser, ReferenceOwner::Missing),
                        expiry,
                    );
                }
            }
            // Two concurrent charges, each of more than the balance.
            1 => {
                let all = self.usable_packs().map(|pack| pack.remaining).sum::<i64>() + 1;
                for _ in 0..2 {
                    let (expiry, reference) =
                        (self.usable_packs().last().and_then(|pack| pack.expired_at), self.generation());
                    self.row("anime_generation", -all, reference, expiry);
                }
            }
            2 => self.charge_and_refund(2),
            // A refund without a charge.
            3 => {
                let reference = self.generation();
                self.row("image_generation_refund", 3, reference, None);
            }
            4 => self.row("admin_gift", 7, NO_REFERENCE, None),
            5 => self.row("", 7, NO_REFERENCE, None),
            6 => self.row(
                "chat",
                -1,
                (Some("no id: #/ü".to_owned()), ReferenceOwner::Missing, ReferenceOwner::Missing),
                None,
            ),
            7 => self.row(
                "chat",
                -1,
                (Some(of_previous_user("gen", self)), ReferenceOwner::Missing, ReferenceOwner::OtherUser),
                None,
            ),
            8 => self.row(
                "order_pay",
                5,
                (Some(of_previous_user("order", self)), ReferenceOwner::OtherUser, ReferenceOwner::Missing),
                None,
            ),
            9 => self.row("order_pay", 5, (None, ReferenceOwner::Missing, ReferenceOwner::Missing), None),
            10 => self.row(
                "chat",
                0,
                (Some(String::new()), ReferenceOwner::Missing, ReferenceOwner::Missing),
                None,
            ),
            11 => self.row("order_pay", i64::MAX, NO_REFERENCE, None),
            12 => self.row("chat", 4, NO_REFERENCE, None),
            // Both an order and a generation.
            13 => {
                let both = format!("both-{}", self.number);
                self.output.orders.push((both.clone(), self.user.clone()));
                self.output.generations.push((both.clone(), self.user.clone()));
                self.row("chat", -1, (Some(both), ReferenceOwner::SameUser, ReferenceOwner::SameUser), None);
            }
            // Also of another user: the own one counts.
            14 => {
                let shared = format!("shared-{}", self.number);
                for user in [Some("other".to_owned()), self.user.clone(), None] {
                    self.output.orders.push((shared.clone(), user));
                }
                self.row(
                    "order_pay",
                    5,
                    (Some(shared), ReferenceOwner::SameUser, ReferenceOwner::Missing),
                    None,
                );
            }
            _ => self.unusual_times(),
        }
    }

    /// Times beyond the range or precision of a `Timestamp`.
    fn unusual_times(&mut self) {
        let (first, last) = (Some("0000-01-01T00:00:00Z"), Some("9999-12-31T23:59:59.999Z"));
        for (written, end) in [
            ("infinity", None),
            ("-infinity", first),
            ("10000-01-01 00:00:00", last),
            ("4000-01-01 00:00:00 BC", first),
            ("2030-01-01 00:00:00.123999", Some("2030-01-01T00:00:00.123Z")),
            ("1969-12-31 23:59:59.999999", Some("1969-12-31T23:59:59.999Z")),
        ] {
            self.row("system_add", 1, NO_REFERENCE, None);
            let mut row = self.output.rows.pop().unwrap().with_field(7, written);
            row.expected.expired_at = end.and_then(Timestamp::parse);
            self.output.rows.push(row);
        }
    }

    fn grant(&mut self, trans_type: &str, credits: i64, expiry: Option<i64>) {
        let reference = if trans_type == "order_pay" { self.order() } else { NO_REFERENCE };
        self.packs.push(Pack {
            order_no: reference.0.clone().unwrap_or_default(),
            expired_at: expiry,
            remaining: credits,
        });
        self.packs.sort_by_key(|pack| pack.expired_at.unwrap_or(i64::MAX));
        self.row(trans_type, credits, reference, expiry);
    }

    /// A charge of the old code: one row with the expiry of the last pack. No row if the
    /// balance is too low.
    fn charge(&mut self, style: OrderNoStyle, credits: i64) {
        if self.usable_packs().map(|pack| pack.remaining).sum::<i64>() < credits {
            return;
        }
        let (mut to_take, mut last, at) = (credits, None, self.at);
        for pack in self.packs.iter_mut().filter(|pack| pack.is_usable(at)) {
            let taken = to_take.min(pack.remaining);
            pack.remaining -= taken;
            to_take -= taken;
            last = Some(pack.clone());
            if to_take == 0 {
                break;
            }
        }
        let last = last.expect("a pack, because the balance suffices");
        let reference = match style {
            OrderNoStyle::Generation => self.generation(),
            OrderNoStyle::OrderOfPack if last.order_no.is_empty() => NO_REFERENCE,
            OrderNoStyle::OrderOfPack => {
                (Some(last.order_no), ReferenceOwner::SameUser, ReferenceOwner::Missing)
            }
            OrderNoStyle::Empty => (Some(String::new()), ReferenceOwner::Missing, ReferenceOwner::Missing),
            OrderNoStyle::Null => NO_REFERENCE,
        };
        let trans_type = CHARGES[self.index_below(CHARGES.len())];
        self.row(trans_type, -credits, reference, last.expired_at);
    }

    /// A charge and `times` refunds of it.
    fn charge_and_refund(&mut self, times: usize) {
        let index = self.output.rows.len();
        self.charge(OrderNoStyle::Generation, 2);
        let Some(Row { expected, .. }) = self.output.rows.get(index).cloned() else { return };
        for _ in 0..times {
            let (reference, expiry) = (
                (expected.order_no.clone(), expected.order_owner, expected.generation_owner),
                expected.expired_at,
            );
            let expiry = expiry.map(Timestamp::millis);
            self.packs.push(Pack { order_no: String::new(), expired_at: expiry, remaining: 2 });
            self.row(&format!("{}_refund", expected.trans_type), 2, reference, expiry);
        }
        self.packs.sort_by_key(|pack| pack.expired_at.unwrap_or(i64::MAX));
    }

    fn row(&mut self, trans_type: &str, credits: i64, reference: Reference, expiry: Option<i64>) {
        let step = if self.number == 0 { MINUTE / 10 } else { self.below(20 * 60) * MINUTE };
        self.at = (self.at + step).min(NOW - MINUTE);
        let (order_no, order_owner, generation_owner) = reference;
        let workspace = i64::try_from(self.output.rows.len()).unwrap();
        let expected = OldRow {
            // The first user has the greatest ids.
            id: self
                .number
                .checked_sub(1)
                .map_or(i64::MAX / 2, |number| number.cast_signed() * USER_ROWS_MAX)
                + workspace,
            trans_no: uuid(&mut self.rng),
            created_at: Timestamp::from_millis(self.at).unwrap(),
            user_uuid: self.user.clone().unwrap_or_default(),
            trans_type: trans_type.to_owned(),
            credits,
            order_no,
            expired_at: expiry.and_then(Timestamp::from_millis),
            order_owner,
            generation_owner,
            lot: None,
        };
        let mut row = Row::new(expected, &mut self.rng);
        if self.user.as_deref() == Some("") {
            row = row.with_field(3, "");
        }
        self.output.rows.push(row);
    }

    fn user_name(&mut self) -> Option<String> {
        let number = self.number;
        match self.below(100) {
            0 => None,
            1 => Some(String::new()),
            2 => Some(format!("user {number}#1")),
            3 => Some(format!("Ünal-{number}\t\\")),
            4 => Some(format!("{number}{}", "x".repeat(300))),
            5 => Some(format!("b{number}")),
            6 => Some(format!("B{number}")),
            7 => Some(format!("a_{number}")),
            _ => Some(uuid(&mut self.rng)),
        }
    }

    fn is_unnamed(&self) -> bool {
        self.user.as_deref().is_none_or(str::is_empty)
    }

    /// A new order.
    fn order(&mut self) -> Reference {
        let order_no = order(self.number, 1 + self.output.orders.len());
        self.output.orders.push((order_no.clone(), self.user.clone()));
        (Some(order_no), ReferenceOwner::SameUser, ReferenceOwner::Missing)
    }

    /// A new generation.
    fn generation(&mut self) -> Reference {
        let generation = uuid(&mut self.rng);
        self.output.generations.push((generation.clone(), self.user.clone()));
        (Some(generation), ReferenceOwner::Missing, ReferenceOwner::SameUser)
    }

    fn usable_packs(&self) -> impl Iterator<Item = &Pack> {
        self.packs.iter().filter(|pack| pack.is_usable(self.at))
    }

    fn style(&mut self) -> OrderNoStyle {
        ORDER_NO_STYLES[self.index_below(ORDER_NO_STYLES.len())]
    }

    fn index_below(&mut self, end: usize) -> usize {
        usize::try_from(self.rng.next_u64()).unwrap() % end
    }

    fn below(&mut self, end: i64) -> i64 {
        i64::from(self.rng.next_u32()) % end
    }
}

impl Pack {
    fn is_usable(&self, at: i64) -> bool {
        // The next row is created at most a day later.
        self.remaining > 0 && self.expired_at.is_none_or(|end| at + DAY < end)
    }
}

fn order(user: u64, number: usize) -> String {
    format!("order-{user}-{number}")
}

/// A random UUID.
pub fn uuid(rng: &mut TestRng) -> String {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    Builder::from_random_bytes(bytes).into_uuid().to_string()
}
