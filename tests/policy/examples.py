"""The policy that the tests of this room start from."""

EXAMPLE = """\
version: 1
keyring: pydp.keyring               # made by `pydp keys init`
state: .pydp                        # journals, ledger, audit log, consent (0700)

identities:                         # the kinds of identifier that a person is known by
  customer_id: {}
  email: {normalize: [nfkc, strip, casefold]}

datasets:
  customers:
    path: data/customers/*.parquet  # file, glob, directory (hive partitions) or object-store URL
    other_columns: error            # error (default) | drop | keep
    identifiers: {id: customer_id, email: email}
    retention: {clock: closed_at, keep: P3Y, then: delete_row}
    columns:
      id:         {anonymize: {pseudonym: {domain: customer}}}
      email:      {anonymize: {pseudonym: {domain: email, format: email}}, encrypt: true}
      phone:      {anonymize: {mask: {keep_last: 4}}, encrypt: {fpe: {alphabet: digits}}}
      name:       {anonymize: {name: initials}, encrypt: true}
      card:       {anonymize: {token: {check_digit: luhn, keep_first: 6}}}
      birth_date: {anonymize: [{date: {truncate: year}}, {top_code: {max_age: 89}}]}
      visited_at: {anonymize: {date_shift: {within: P30D, per: id}}}
      zip:        {anonymize: {prefix: 3}}
      salary:     {anonymize: {bin: {width: 5000}}, encrypt: {mode: random, bind: [id]}}
      note:       {anonymize: redact, encrypt: true}
      country:    keep
      closed_at:  keep
  orders:
    path: data/orders/*.csv.gz
    csv: {delimiter: ";", encoding: utf-8, null: ""}
    links: {customer_id: customers.id}       # the same pseudonym domain, and the way to a person's orders
    columns:
      order_id:    keep
      customer_id: {anonymize: {pseudonym: {domain: customer}}}
      total:       {type: decimal(12,2), anonymize: keep}
      ordered_at:  {type: timestamp, anonymize: {date: {truncate: month}}}

statistics:
  budget: {epsilon: 4, delta: 1e-6, per: P1Y}
  user: customer_id
  contribution: {groups: 3, rows_per_group: 4}
  queries:
    revenue_by_country:
      dataset: orders
      group_by: [{country: {keys: [DE, FR, IT]}}, {channel: {unknown: true}}]
      where: status == "paid"
      release:
        people: count_users
        orders: count
        revenue: {sum: total, bounds: [0, 500], unit: 0.01}
        typical: {quantiles: [0.25, 0.5, 0.75], of: total, bounds: [0, 500]}
      epsilon: 1.0
"""


def policy_with(columns, *, more="", dataset=""):
    """Write a policy of one dataset `people` with the given lines for columns."""
    lines = "\n".join(f"      {line}" for line in columns)
    return f"version: 1\n{more}datasets:\n  people:\n    path: people.csv\n{dataset}    columns:\n{lines}\n"
