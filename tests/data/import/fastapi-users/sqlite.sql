BEGIN TRANSACTION;
CREATE TABLE accesstoken (
	user_id CHAR(36) NOT NULL, 
	token VARCHAR(43) NOT NULL, 
	created_at TIMESTAMP NOT NULL, 
	PRIMARY KEY (token), 
	FOREIGN KEY(user_id) REFERENCES user (id) ON DELETE cascade
);
INSERT INTO "accesstoken" VALUES('3c52c96d-a4fe-4455-a761-f82a52d87f7f','RslQHFQJ7KmT8GoAVBlU2bVTH74xbF9X1eQ9uK7Hzxc','2026-11-26 00:27:53.451501');
INSERT INTO "accesstoken" VALUES('3c52c96d-a4fe-4455-a761-f82a52d87f7f','zTpWi_J4dJW1SX4u9HZAm7ZVsD_flKcPTFzHVKMeJg4','2026-11-26 00:27:53.474359');
INSERT INTO "accesstoken" VALUES('d704159f-b017-45cb-83e7-7dead1f8ecdb','pbUx-mars3j-x6xckKUxXuwt8BXNAY4Ful3ZGb7a98U','2026-11-26 00:27:53.495099');
INSERT INTO "accesstoken" VALUES('d704159f-b017-45cb-83e7-7dead1f8ecdb','Dup8vyeE2dQq8QlfhbWtMF7DTUiAeG-3hxyoDMaQTlk','2026-11-26 00:27:53.502960');
INSERT INTO "accesstoken" VALUES('21c51e7a-6d80-4d60-adfb-f5f8c97ab723','ZtFu-Qla_pw1dIWW5n_YH7Sw9a9Vdj8LlUYaXnQVxn8','2026-11-26 00:27:53.628047');
INSERT INTO "accesstoken" VALUES('21c51e7a-6d80-4d60-adfb-f5f8c97ab723','4RH34vTkMdM_0mwW2rbf7IBVFWY6Pe4ATj014wZIfLo','2026-11-26 00:27:53.635181');
INSERT INTO "accesstoken" VALUES('1adc5bf4-7764-4750-bf8c-8783d7566c43','BxFqQgnoxGzGLwbHChAm4paQyw-vp8QWowCpB-yRLx4','2026-11-26 00:27:53.663715');
INSERT INTO "accesstoken" VALUES('1adc5bf4-7764-4750-bf8c-8783d7566c43','kL_mSf2RLSxpt1K6AOKKFskVCSR9KfoB3Ah9XoyO5Mc','2026-11-26 00:27:53.683180');
CREATE TABLE user (
	id CHAR(36) NOT NULL, 
	email VARCHAR(320) NOT NULL, 
	hashed_password VARCHAR(1024) NOT NULL, 
	is_active BOOLEAN NOT NULL, 
	is_superuser BOOLEAN NOT NULL, 
	is_verified BOOLEAN NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "user" VALUES('3c52c96d-a4fe-4455-a761-f82a52d87f7f','member0@example.com','$argon2id$v=19$m=512,t=1,p=2$/qIuXQn5+Il62QJaTBb6hw$czf1RuLfLCp9kkya8Cd/Dhi6g9MaSEIzsVTb800SPts',1,0,0);
INSERT INTO "user" VALUES('d704159f-b017-45cb-83e7-7dead1f8ecdb','member1@example.com','$argon2id$v=19$m=512,t=1,p=2$7qgSezYnEQBUtSEzmDHiOA$zdKVuxnz/FbZq1+RLCDgIHDFY7PllroAWhPbpTl+A18',1,0,0);
INSERT INTO "user" VALUES('21c51e7a-6d80-4d60-adfb-f5f8c97ab723','member2@example.com','$argon2id$v=19$m=512,t=1,p=2$X0Elu1pRnFPVDJyNK989pA$iQRRBlFwF0ihQ3Dy2Y14k4Gg5ZMS+dGr9p8NANHBiU0',1,0,0);
INSERT INTO "user" VALUES('1adc5bf4-7764-4750-bf8c-8783d7566c43','member3@example.com','$argon2id$v=19$m=512,t=1,p=2$dfOkEop2E3VjQBauxXzbig$RTAjGUyPdsMDJUo8RCB3UD9qIlO26Ojf69HSXSvfJm8',0,0,0);
CREATE UNIQUE INDEX ix_user_email ON user (email);
CREATE INDEX ix_accesstoken_created_at ON accesstoken (created_at);
COMMIT;
