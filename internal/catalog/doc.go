// Package catalog owns what is sold: products, their variants, the category tree
// and price lists.
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
// Options, where a product has them, make a matrix: option_key holds a variant's
// combination, and variants_option_key has each once.
//
// Triggers keep product_search, which products are found by (search.go).
//
// A variant costs what the best price list that holds says, else its own price
// (Prices). Triggers keep the histories of prices and states, which only grow;
// writers say why with because.
//
// Writes: categories, products, variants, brands, size_systems, variant_barcodes,
// catalog_settings, price_lists, price_list_entries, and by
// triggers product_search, variant_price_changes and product_status_changes. Emits no events.
package catalog
