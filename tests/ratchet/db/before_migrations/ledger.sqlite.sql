CREATE TABLE champions (
	registered_model TEXT NOT NULL,
	epoch INTEGER NOT NULL,
	version INTEGER,
	PRIMARY KEY (registered_model)
)
--
CREATE TABLE decisions (
	id INTEGER NOT NULL,
	registered_model TEXT NOT NULL,
	epoch INTEGER NOT NULL,
	subject TEXT NOT NULL,
	entry JSON NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (registered_model, subject)
)
--
CREATE TRIGGER decisions_append_only_update BEFORE update ON decisions
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
--
CREATE TRIGGER decisions_append_only_delete BEFORE delete ON decisions
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
--
