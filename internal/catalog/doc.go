// Package catalog owns what is sold: products, their variants and the category
// tree.
//
// A product has one or more variants; a variant is the unit of sale and is
// known by its SKU, unique over all products. A product of kind book or apparel
// carries the fields of that kind and no others. Products and variants are
// archived, never deleted, since orders refer to them.
//
// Invariants: variants_sku_key, categories_name_key; prices are not negative;
// an ISBN is stored as 13 digits with a right check digit; no category lies
// below itself.
//
// Writes: categories, products, variants. Emits no events.
package catalog
