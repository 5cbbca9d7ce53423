//! How much of what is in our tables, without their elements: three short questions for each family.

use super::{
    Error, Netlink,
    encode::{self, GET_RULE, GET_SET},
    reply::{Answer, Fault},
};
use crate::core::{
    address::Family,
    nft::inventory::{Holding, Inventory},
};
use std::io;

/// There is no such table.
const NOT_FOUND: i32 = 2;

impl Netlink {
    /// What is in our tables; nothing if somebody changed something, anywhere, while it was looked at.
    pub fn look(&mut self) -> Result<Option<Inventory>, Error> {
        let mut found = Inventory::default();
        for family in Family::ALL {
            if !self.has_table(family)? {
                continue;
            }
            let Some(holding) = self.holding(family)? else { return Ok(None) };
            found.0.insert(family, holding);
        }
        Ok(Some(found))
    }

    fn has_table(&mut self, family: Family) -> Result<bool, Error> {
        let number = self.next(1);
        self.send(&encode::get_table(family, number))?;
        for answer in self.answers()? {
            match answer {
                Answer::Table => return Ok(true),
                Answer::Fault(Fault { errno: NOT_FOUND, .. }) => return Ok(false),
                Answer::Fault(fault) => return Err(refused(&fault)),
                _ => (),
            }
        }
        Err(Error::Unanswered)
    }

    fn holding(&mut self, family: Family) -> Result<Option<Holding>, Error> {
        let mut holding = Holding::default();
        for what in [GET_RULE, GET_SET] {
            let number = self.next(1);
            self.send(&encode::dump(what, family, number))?;
            let mut is_whole = None;
            for answer in self.answers()? {
                match answer {
                    Answer::Rule(chain) => *holding.rules.entry(chain).or_default() += 1,
                    Answer::Set(name, count) => drop(holding.sets.insert(name, count)),
                    Answer::Listed { is_whole: told } => is_whole = Some(told),
                    // the table went away meanwhile, for one
                    Answer::Fault(Fault { errno: NOT_FOUND, .. }) => is_whole = Some(false),
                    Answer::Fault(fault) => return Err(refused(&fault)),
                    Answer::Done(_) | Answer::Generation(_) | Answer::Table => (),
                }
            }
            match is_whole {
                Some(true) => (),
                Some(false) => return Ok(None),
                None => return Err(Error::Unanswered),
            }
        }
        Ok(Some(holding))
    }
}

fn refused(fault: &Fault) -> Error {
    Error::Transaction { said: fault.said.clone(), source: io::Error::from_raw_os_error(fault.errno) }
}
