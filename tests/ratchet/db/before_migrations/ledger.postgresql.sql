CREATE TABLE champions (
	registered_model TEXT NOT NULL,
	epoch INTEGER NOT NULL,
	version INTEGER,
	PRIMARY KEY (registered_model)
)
--
CREATE TABLE decisions (
	id SERIAL NOT NULL,
	registered_model TEXT NOT NULL,
	epoch INTEGER NOT NULL,
	subject TEXT NOT NULL,
	entry JSON NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (registered_model, subject)
)
--
CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$
--
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON decisions
            FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only()
--
