CREATE TABLE feedback (
	prediction_id TEXT NOT NULL,
	label SMALLINT NOT NULL,
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (prediction_id)
)
--
CREATE TABLE predictions (
	prediction_id TEXT NOT NULL,
	arm TEXT NOT NULL,
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	model_version INTEGER NOT NULL,
	label SMALLINT NOT NULL,
	probability DOUBLE PRECISION NOT NULL,
	title_length INTEGER NOT NULL,
	text_length INTEGER NOT NULL,
	terms INTEGER NOT NULL,
	key TEXT NOT NULL,
	seconds DOUBLE PRECISION NOT NULL,
	experiment TEXT NOT NULL,
	title TEXT,
	text TEXT,
	PRIMARY KEY (prediction_id, arm)
)
--
CREATE INDEX predictions_at ON predictions USING brin (at)
--
CREATE FUNCTION prediction_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the prediction log is append-only'; END $$
--
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON predictions
            FOR EACH STATEMENT EXECUTE FUNCTION prediction_log_is_append_only()
--
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON feedback
            FOR EACH STATEMENT EXECUTE FUNCTION prediction_log_is_append_only()
--
