CREATE TABLE feedback (
	prediction_id TEXT NOT NULL,
	label SMALLINT NOT NULL,
	at DATETIME NOT NULL,
	PRIMARY KEY (prediction_id)
)
--
CREATE TABLE predictions (
	prediction_id TEXT NOT NULL,
	arm TEXT NOT NULL,
	at DATETIME NOT NULL,
	model_version INTEGER NOT NULL,
	label SMALLINT NOT NULL,
	probability DOUBLE NOT NULL,
	title_length INTEGER NOT NULL,
	text_length INTEGER NOT NULL,
	terms INTEGER NOT NULL,
	"key" TEXT NOT NULL,
	seconds DOUBLE NOT NULL,
	experiment TEXT NOT NULL,
	title TEXT,
	text TEXT,
	PRIMARY KEY (prediction_id, arm)
)
--
CREATE INDEX predictions_at ON predictions (at)
--
CREATE TRIGGER predictions_append_only_update BEFORE update ON predictions
        BEGIN SELECT RAISE(ABORT, 'the prediction log is append-only'); END
--
CREATE TRIGGER predictions_append_only_delete BEFORE delete ON predictions
        BEGIN SELECT RAISE(ABORT, 'the prediction log is append-only'); END
--
CREATE TRIGGER feedback_append_only_update BEFORE update ON feedback
        BEGIN SELECT RAISE(ABORT, 'the prediction log is append-only'); END
--
CREATE TRIGGER feedback_append_only_delete BEFORE delete ON feedback
        BEGIN SELECT RAISE(ABORT, 'the prediction log is append-only'); END
--
