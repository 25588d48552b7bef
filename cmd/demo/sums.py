#!/usr/bin/env python3
"""Adds up the retailer's history by hand: an account of every row, made
without any code of the service, to hold against what the service says.

    python3 cmd/demo/sums.py

Each row falls under the first rule that fits it; amounts are quantity times
unit price in units of currency. The last line of each block is what the
service must show as sales and as returns.
"""
import csv
import gzip
import os
from decimal import Decimal

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "online_retail.csv.gz")
with gzip.open(path, "rt", encoding="utf-8", newline="") as f:
    rows = list(csv.DictReader(f))


def merchandise(code):
    code = code.strip().upper()
    return code.startswith(("DCGS", "GIFT_")) or (len(code) >= 5 and code[:5].isdigit())


table, seen = {}, set()
for r in rows:
    whole = tuple(r.values())
    amount = Decimal(r["unit_price"]) * int(r["quantity"])
    if whole in seen:
        rule = "exact duplicate of an earlier line"
    elif not merchandise(r["stock_code"]):
        rule = "not merchandise"
    elif Decimal(r["unit_price"]) == 0:
        rule = "zero price"
    elif r["invoice_no"].startswith("C"):
        rule = "loaded as returns"
    else:
        rule = "loaded as sales"
    seen.add(whole)
    count, total = table.get(rule, (0, Decimal(0)))
    table[rule] = (count + 1, total + amount)

for rule, (count, total) in sorted(table.items()):
    print(f"{rule:40s} {count:7d} {total:14.2f}")
print(f"{'all rows':40s} {len(rows):7d} {sum(t for _, t in table.values()):14.2f}")
