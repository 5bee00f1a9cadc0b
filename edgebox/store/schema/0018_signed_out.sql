-- 1: the learner of this launch signed out, or was signed out; its unit may still hand in, and reads nothing.
ALTER TABLE cmi5_launch ADD COLUMN is_signed_out INTEGER NOT NULL DEFAULT 0;
