-- +goose Up
-- Family members, products and orders have custom fields too. Values of family
-- members are sealed with the rest of them; those of products and orders stand
-- in their rows.
ALTER TABLE custom_fields DROP CONSTRAINT custom_fields_entity_check;
ALTER TABLE custom_fields ADD CONSTRAINT custom_fields_entity_check CHECK (entity IN ('customer', 'family_member', 'product', 'order'));
ALTER TABLE custom_fields ADD CONSTRAINT custom_fields_keyed_check CHECK (NOT personal OR entity IN ('customer', 'family_member'));
ALTER TABLE custom_fields ADD CONSTRAINT custom_fields_family_check CHECK (NOT filterable OR entity <> 'family_member');

-- +goose Down
ALTER TABLE custom_fields DROP CONSTRAINT custom_fields_family_check;
ALTER TABLE custom_fields DROP CONSTRAINT custom_fields_keyed_check;
ALTER TABLE custom_fields DROP CONSTRAINT custom_fields_entity_check;
ALTER TABLE custom_fields ADD CONSTRAINT custom_fields_entity_check CHECK (entity IN ('customer'));
